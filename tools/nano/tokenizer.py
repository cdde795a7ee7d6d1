"""How the shipped tokenizer was made.  It is frozen: the checkpoint, the engine and its tests depend on its ids."""
import json,os,random
from tokenizers import Tokenizer,models,pre_tokenizers,decoders,trainers,Regex
import gen_drawn as gen, tasks
PAT=r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SP=['<|endoftext|>','<|im_start|>','<|im_end|>','<|vision_start|>','<|vision_end|>','<|vision_pad|>','<|image_pad|>','<|video_pad|>','<think>','</think>']
def build(path=os.path.join(os.path.dirname(os.path.abspath(__file__)),'../../data/nano/tokenizer.json')):
    t=Tokenizer(models.BPE()); 
    t.pre_tokenizer=pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(PAT),'isolated'),pre_tokenizers.ByteLevel(add_prefix_space=False,use_regex=False)]); t.decoder=decoders.ByteLevel()
    def corpus():
        for i in range(6000):
            s=gen.Screen(448,448,10**7+i).render()
            pre,segs=tasks.segments(s,8)
            for q,a,b in segs: yield q.replace('{"action": "{action_name}"}',''); yield a
            if i%20==0: yield tasks.AGENT+tasks.AEND+tasks.LOC+tasks.LEND+'assistant system user You are MiMo, an AI assistant developed by Xiaomi.'
            for e in s.el: yield e['label']; yield ' '+e['label']; yield e['label'].lower(); yield ' '+e['label'].lower()
    t.train_from_iterator(corpus(),trainers.BpeTrainer(vocab_size=1024-len(SP),initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_special_tokens(SP); t.save(path); print(t.get_vocab_size())
if __name__=='__main__': build()
