"""How the shipped tokenizer was made: Qwen2's splitting, byte-level BPE, 1,024 ids.

It is frozen (the checkpoint, the engine and its tests depend on its ids) and was trained on sentences of an
earlier state of tasks.py: running this gives a tokenizer of the same kind, not the same one.
"""

import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import gen_drawn
import tasks

SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = (
    '''<|endoftext|> <|im_start|> <|im_end|> <|vision_start|> <|vision_end|> <|vision_pad|> <|image_pad|>
<|video_pad|>'''.split()
)
# single tokens, but text that a reader gets to see
THOUGHT = ['<think>', '</think>']
VOCAB = 1024


def corpus(screens=6000):
    for i in range(screens):
        s = gen_drawn.Screen(448, 448, 10**7 + i).render()
        for _ in range(6):
            t = tasks.agent(s)
            if t:
                yield from (t.goal, t.history, t.answer)
        for t in tasks.locate(s, 2) + tasks.ask(s, 2):
            yield from (t.goal, t.answer)
        if i % 20 == 0:
            yield tasks.SYS + tasks.AGENT + tasks.AEND + tasks.LOC + tasks.LEND + tasks.TURN
        for e in s.el:
            for t in (e['label'], e['label'].lower()):
                yield from (t, ' ' + t)


def build(path):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), 'isolated'),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    t.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB - len(SPECIAL + THOUGHT), initial_alphabet=alphabet)
    t.train_from_iterator(corpus(), trainer)
    t.add_special_tokens(SPECIAL)
    t.add_tokens([AddedToken(q, normalized=False) for q in THOUGHT])
    t.save(path)


if __name__ == '__main__':
    build(sys.argv[1])
