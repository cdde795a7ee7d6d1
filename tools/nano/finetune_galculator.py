"""An example for finetune_record.py: sums for galculator's keys, as SPEC.json.

    python tools/nano/finetune_galculator.py SEED COUNT > SPEC.json

Two seeds share no sum.  The window stands in another place each time.
"""

import json
import random
import sys

seed, count = int(sys.argv[1]), int(sys.argv[2])
r = random.Random(seed)
sums = [(a, op, b) for a in range(1, 10) for op in '+-*/' for b in range(1, 10) if (a * 9 + b + '+-*/'.index(op)) % 3 == seed % 3]
r.shuffle(sums)
specs = []
for i, (a, op, b) in enumerate(sums[:count]):
    keys = [str(a), op, str(b), '=']
    goal = r.choice(['Click {}, click {}, click {} and click {}', 'Click {}, then {}, then {} and then {}', 'Press {}, {}, {} and {}'])
    desk = r.choice(['#3c5a6e', '#000000', '#702040', '#88a0b0'])
    specs.append(dict(
        name=f'sum{seed}-{i}', size=[448, 448], toolkit='gtk3', program='galculator', package='galculator', run=['galculator'], window='galculator',
        wm=r.choice(['Onyx', 'Bear2', 'Natura', 'Clearlooks']), desk=desk, tasks=[[goal.format(*keys), [['click', 'toggle:' + k] for k in keys]]],
        place=[r.randint(0, 140), r.randint(0, 60)],
    ))
json.dump(specs, sys.stdout, indent=1)
