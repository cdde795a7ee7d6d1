"""Turns a Screen into prompt/answer segments in MiMo-VL's own prompt formats."""
import random
import gen_drawn as gen
from words import form_label, value_for, phrase
from collections import Counter
SYS='<|im_start|>system\nYou are MiMo, an AI assistant developed by Xiaomi.<|im_end|>\n<|im_start|>user\n<|vision_start|>'
AGENT='''You are a GUI agent. You will be provided with a screenshot, a goal, and your action history. You need to perform the next action to complete the task.

## Action Space
{"action": "click", "start_point": [x,y]}
{"action": "drag", "start_point": [x,y], "end_point": [x,y]}
{"action": "input", "text": "text"}
{"action": "press", "keys": [key1, key2, ...]}
{"action": "wait"}
{"action": "finished", "status": "status"}

## Goal
'''
AEND='\n\nNow, output the next action in json format [{"action": "{action_name}"}, ...].'
LOC='Locate UI components that match the command: "'
LEND='". Output a JSON in the format [{"bbox_2d": [...], "label": "{the_whole_command}"}, ...].'
TURN='<|im_end|>\n<|im_start|>assistant\n'
KEYS=[('Enter','enter'),('Tab','tab'),('Escape','esc'),('Ctrl+S','ctrl s'),('Ctrl+C','ctrl c'),('Ctrl+V','ctrl v'),('Ctrl+A','ctrl a'),('Alt+F4','alt f4'),('Delete','delete'),('Backspace','backspace'),('F5','f5'),('Ctrl+Z','ctrl z'),('Page Down','pagedown'),('Down','down'),('Up','up')]
def center(b): return (b[0]+b[2])//2,(b[1]+b[3])//2
def usable(s):
    cnt=Counter(e['label'].lower() for e in s.el if e['label']); kc=Counter(e['kind'] for e in s.el)
    return [e for e in s.el if (e['label'] and cnt[e['label'].lower()]==1) or (not e['label'] and kc[e['kind']]==1)]
def typed(r):
    v=r.random()
    if v<.35: return r.choice(gen.W).lower()
    if v<.55: return ' '.join(r.choice(gen.W).lower() for _ in range(2))
    if v<.7: return str(r.randint(0,99999))
    if v<.85: return r.choice(gen.W).lower()+'@'+r.choice(['example.com','mail.org','test.io'])
    return r.choice(gen.W).capitalize()+' '+r.choice(gen.W).capitalize()
def op(s,e):
    """(instruction, think, action-json, history-json)"""
    r=s.r; k,l,b=e['kind'],e['label'],e['box']; x,y=center(b); v=r.random()
    if k=='key':
        n,ks=e['key']; keys=', '.join(f'"{t}"' for t in ks.split(' ')); return r.choice([f'press {n}',f'hit {n}']),f'key {n}',f'{{"action": "press", "keys": [{keys}]}}',f'{{"action_name": "press", "keys": [{keys}]}}'
    if not l: q=r.choice([f'{k} the window',f'click the {k} button'])
    else:
        ll=l if r.random()<.75 else l.lower(); ql=f'"{ll}"' if r.random()<.3 else ll
        name={'item':r.choice(['item','row','entry']),'field':r.choice(['field','text field','box','input'])}.get(k,k)
        if k in('field','combo box') and k=='field' and v<.55:
            t=typed(r); tt=f'"{t}"' if r.random()<.4 else t
            q=r.choice([f'type {tt} in the {ql} field',f'type {tt} into {ql}',f'enter {tt} in {ql}',f'fill {ql} with {tt}',f'set {ql} to {tt}',f'write {tt} in the {ql} box'])
            return q,f'field "{l}"',f'{{"action": "input", "start_point": [{x}, {y}], "text": "{t}"}}',f'{{"action_name": "input", "text": "{t}"}}'
        if k in('checkbox','radio') and v<.6: q=r.choice([f'select {ql}',f'check {ql}',f'tick {ql}',f'turn on {ql}',f'enable {ql}',f'check the {ql} {name}'])
        elif k=='menu' and v<.5: q=r.choice([f'open the {ql} menu',f'open {ql}'])
        elif v<.5: q=r.choice([f'click {ql}',f'click on {ql}',f'press {ql}',f'select {ql}',f'choose {ql}'])
        else: q=r.choice([f'click the {ql} {name}',f'press the {ql} {name}',f'go to the {ql} {name}',f'click on the {ql} {name}'])
    return q,(f'{k} "{l}"' if l else f'{k} button'),f'{{"action": "click", "start_point": [{x}, {y}]}}',f'{{"action_name": "click", "start_point": [{x}, {y}]}}'
def cap(r,q): return q[0].upper()+q[1:] if r.random()<.6 else q
def segments(s,n,mode=None):
    """prefix text after the image, list of (user-rest, answer, box or None)"""
    r=s.r; els=usable(s); r.shuffle(els); mode=mode or r.choices(['agent','locate','ask'],[.55,.2,.25])[0]; out=[]
    if mode=='agent':
        i=0
        while len(out)<n and i<len(els):
            m=r.choice([1,1,1,2,2,3,4]); es=els[i:i+m]; i+=m
            if r.random()<.2: es=es+[dict(kind='key',label='',box=(0,0,0,0),key=r.choice(KEYS))]
            ops=[op(s,e) for e in es]; goal=ops[0][0]
            for o in ops[1:-1]: goal+=r.choice([', then ',', ',' then ','; '])+o[0]
            if len(ops)>1: goal+=r.choice([' and ',', then ',' and then ',', and ','; '])+ops[-1][0]
            goal=cap(r,goal)+('.' if r.random()<.25 else '')
            k=r.randint(0,len(ops)) if r.random()<.8 else 0
            hist=''.join(f'Step {j}: {ops[j][3]}.' for j in range(k)) or 'None'
            if k==len(ops): a='<think>\ndone\n</think>\n\n{"action": "finished", "status": "success"}'; box=None
            else: a=f'<think>\n{ops[k][1]}\n</think>\n\n{ops[k][2]}'; box=es[k]['box'] if es[k]['kind']!='key' else None
            out.append((goal+'\n\n## Previous Actions\n'+hist+AEND,a,box))
        return AGENT,out
    if mode=='locate':
        for e in els[:n]:
            q=cap(r,op(s,e)[0]) if r.random()<.6 else (e['label'] or e['kind']+' button')
            q=q.replace('"',"'"); b=e['box']; out.append((q+LEND,f'```json\n[{{"bbox_2d": [{b[0]}, {b[1]}, {b[2]}, {b[3]}], "label": "{q}"}}]\n```',b))
        return LOC,out
    labels={e['label'].lower() for e in s.el}|{t.lower() for t in s.texts}
    vals=[e for e in els if e.get('value')]
    for j in range(n):
        if vals and r.random()<.3:
            e=vals.pop(); out.append((r.choice([f'What is in the {e["label"]} field?',f'Read the {e["label"]} field.',f'What is the value of {e["label"]}?']),e['value'],None)); continue
        if els and r.random()<.5: e=els.pop(); l,a=e['label'] or e['kind']+' button','yes'
        else:
            l=gen.phrase(r); a='yes' if l.lower() in labels else 'no'
            if r.random()<.3 and s.el:  # near miss of a label on the screen
                e=r.choice(s.el); b=e['label']
                if len(b)>4: i=r.randrange(1,len(b)-1); l=b[:i]+r.choice('abcdefghiklmnoprstuw')+b[i+1:]; a='yes' if l.lower() in labels else 'no'
        out.append((r.choice([f'Is "{l}" visible? Answer yes or no.',f'Does the screen show "{l}"? Answer yes or no.',f'Is there a "{l}" on the screen? Answer yes or no.']),a,None))
    return '',out

def q(r,t): return f'"{t}"' if r.random()<.15 else t
def form_goal(r,pairs,button):
    """one sentence for a whole form"""
    P=[(q(r,l if r.random()<.8 else l.lower()),q(r,v)) for l,v in pairs]; v=r.random()
    if v<.3: s=r.choice(['Fill in the form: ','Fill the form: ','Fill in: ','Form: ','Fill out the form with '])+', '.join(f'{l} {x}' for l,x in P)
    elif v<.45: s=r.choice(['Fill in the form: ','Fill in ',''])+', '.join(f'{l}: {x}' for l,x in P)
    elif v<.65: j=r.choice([' and ',', ']); s='Set '+j.join(f'{l} to {x}' for l,x in P)
    elif v<.8: s=r.choice(['Enter ','Type ','Put '])+', '.join(f'{x} {r.choice(["in","into"])} {l}' for l,x in P)
    elif v<.9: s='Fill '+', '.join(f'{l} with {x}' for l,x in P)
    else: s='Enter '+', '.join(f'{x} as {l}' for l,x in P)
    if button:
        b=q(r,button); s+=r.choice([', then press ',' and press ',' and click ',', then click ','. Then press ',', press ',' and then click '])+b
    return s+('.' if r.random()<.2 else '')
def answer(think,act): return f'<think>\n{think}\n</think>\n\n{act}'
def input_op(e,v):
    x,y=center(e['box']); return f'field "{e["label"]}"',f'{{"action": "input", "start_point": [{x}, {y}], "text": "{v}"}}',f'{{"action_name": "input", "text": "{v}"}}',e
def click_op(e):
    x,y=center(e['box']); l=e['label']; return (f'{e["kind"]} "{l}"' if l else f'{e["kind"]} button'),f'{{"action": "click", "start_point": [{x}, {y}]}}',f'{{"action_name": "click", "start_point": [{x}, {y}]}}',e
def key_op(k):
    n,ks=k; keys=', '.join(f'"{t}"' for t in ks.split(' ')); return f'key {n}',f'{{"action": "press", "keys": [{keys}]}}',f'{{"action_name": "press", "keys": [{keys}]}}',None
def plan(s):
    """(goal, ops, number of ops that must already be done or None)"""
    r=s.r; els=usable(s); v=r.random(); form=[e for e in getattr(s,'form',[]) if e in els]; buttons=[e for e in els if e['kind']=='button']
    if form and v<.62:
        done=0
        while done<len(form) and form[done].get('value'): done+=1
        if r.random()<.25: a=r.sample(form,r.randint(1,len(form))); done=None
        else: a=form[:max(done,1)+r.randint(0,3)]; done=min(done,len(a))
        pairs=[(e['label'],(e['value'] if done is not None and e.get('value') else value_for(r,e['label']))) for e in a]
        b=r.choice(buttons) if buttons and r.random()<.85 else None
        if b and r.random()<.5: b=next((e for e in buttons if e['label'] in('OK','Save','Submit','Send')),b)
        ops=[input_op(e,x) for e,(l,x) in zip(a,pairs)]
        goal=form_goal(r,pairs,b and b['label'])
        if b: ops.append(click_op(b))
        elif r.random()<.3: k=r.choice(KEYS[:3]); ops.append(key_op(k)); goal+=f', then press {k[0]}'
        return goal,ops,done
    if v<.68:
        t=r.choice(['touch /tmp/','ls ','echo ','mkdir ','cat ','rm '])+r.choice(gen.W).lower() if r.random()<.6 else value_for(r)
        tt=q(r,t); goal=r.choice([f'type {tt} and press Enter',f'type {tt}, then press Enter',f'run the command {tt}',f'enter {tt} and hit Enter',f'type {tt}'])
        ops=[('type',f'{{"action": "input", "text": "{t}"}}',f'{{"action_name": "input", "text": "{t}"}}',None)]
        if 'Enter' in goal or 'run' in goal: ops.append(key_op(('Enter','enter')))
        return cap(r,goal),ops,None
    if not els: return None
    m=r.choice([1,1,2,2,3,4]); es=r.sample(els,min(m,len(els)))
    if r.random()<.12: es=es+[dict(kind='key',label='',box=(0,0,0,0),key=r.choice(KEYS))]
    O=[op(s,e) for e in es]; goal=O[0][0]
    for o in O[1:-1]: goal+=r.choice([', then ',', ',' then ','; '])+o[0]
    if len(O)>1: goal+=r.choice([' and ',', then ',' and then ',', and ','; '])+O[-1][0]
    return cap(r,goal)+('.' if r.random()<.25 else ''),[(o[1],o[2],o[3],e if e['kind']!='key' else None) for o,e in zip(O,es)],None
def agent(s):
    """(goal, history, answer, element or None)"""
    r=s.r; p=plan(s)
    if not p: return None
    goal,ops,k=p
    if k is None: k=r.randint(0,len(ops)) if r.random()<.8 else 0
    elif k==len([o for o in ops if o[3] and o[3]['kind']=='field']) and r.random()<.4: k=len(ops)
    H=[o[2] for o in ops[:k]]; miss=False
    if k<len(ops) and r.random()<.05:
        # the target of the next op is not on the screen
        l=form_label(r)
        if l.lower() not in {t.lower() for t in s.texts}|{e['label'].lower() for e in s.el} and ops[k][3] is not None and ops[k][3]['label'] and goal.count(ops[k][3]['label'])==1:
            goal=goal.replace(ops[k][3]['label'],l); return goal,hist(H),answer(f'not found "{l}"','{"action": "call_user"}'),None
    if k<len(ops) and r.random()<.05:
        n=r.choice([1,1,2]); H+=[r.choice(['No effect. ','No effect. ','Refused. '])+ops[k][2]]*n
        if n==2: return goal,hist(H),answer(f'not found "{ops[k][3]["label"]}"' if ops[k][3] else 'not found ""','{"action": "call_user"}'),None
    if k==len(ops): return goal,hist(H),answer('done','{"action": "finished", "status": "success"}'),None
    return goal,hist(H),answer(ops[k][0],ops[k][1]),ops[k][3]
def hist(H): return ''.join(f'Step {j}: {h}.' for j,h in enumerate(H)) or 'None'
