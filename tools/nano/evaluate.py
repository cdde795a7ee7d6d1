"""Measure a checkpoint (a folder in Hugging Face layout, or a training state): python evaluate.py CHECKPOINT [--real DIR] [--zenity N] ...

drawn    unseen drawn screens           windows  held-out windows of a real toolkit
zenity   stock `zenity --forms` under Xvfb and openbox: every step is a screenshot, a forward pass and an xdotool action;
         a task counts when zenity's own output holds exactly the values.
"""
import argparse, os, random, re, subprocess, sys, time
import torch, torch.nn.functional as F
from PIL import Image, ImageGrab
import gen_drawn, screens, tasks, words
from train import T, E, IMG, EOS, PRE, POST, norm, C, Nano

def load(path):
    m=Nano()
    if os.path.isdir(path):
        from safetensors.torch import load_file
        sd={k:v.float() for k,v in load_file(path+'/model.safetensors').items()}; m.load_state_dict(sd,strict=False)
    else:
        c=torch.load(path); m.load_state_dict({k:v.bfloat16().float() for k,v in c.get('ema',c['m']).items()},strict=False)
    return m.eval()

@torch.no_grad()
def generate(m,img,text,limit=110):
    """greedy answer to one user turn (image, text)"""
    w,h=img.size; f,_=m.visual(norm(img)[None]); gh,gw=h//28,w//28; p=len(PRE)
    ids=PRE+[IMG]*(gh*gw)+POST+E(text+tasks.TURN); t=torch.tensor([ids])
    pos=[[i]*3 for i in range(p)]+[[p,p+r,p+c] for r in range(gh) for c in range(gw)]; st=p+max(gh,gw); pos+=[[st+k]*3 for k in range(len(ids)-len(pos))]; st=pos[-1][0]+1
    x=m.model.embed_tokens(t).masked_scatter((t==IMG)[...,None],f); caches=[[] for _ in range(C.l)]; S=len(ids); out=[]
    h_,_=m.lm(x,torch.tensor(pos).T[:,None].float(),torch.ones(S,S,dtype=torch.bool).tril()[None,None],caches)
    while len(out)<limit:
        n=int(F.linear(h_[0,-1],m.model.embed_tokens.weight).argmax())
        if n==EOS: break
        out.append(n); h_,_=m.lm(m.model.embed_tokens(torch.tensor([[n]])),torch.full((3,1,1),float(st)),None,caches); st+=1
    return T.decode(out,skip_special_tokens=False)

def agent_text(goal,hist): return tasks.AGENT+goal+'\n\n## Previous Actions\n'+hist+tasks.AEND
def parse(t):
    a=re.search(r'"action": "(\w+)"',t); p=re.search(r'"start_point": \[(\d+), ?(\d+)\]',t); x=re.search(r'"text": "(.*)"\}',t); k=re.search(r'"keys": \[(.*?)\]',t)
    return a and a[1],p and (int(p[1]),int(p[2])),x and x[1],k and k[1]
def inside(p,b): return p is not None and b[0]<=p[0]<=b[2] and b[1]<=p[1]<=b[3]

def steps(m,make,n,show=3):
    R={}
    def note(k,ok): r=R.setdefault(k,[0,0]); r[0]+=bool(ok); r[1]+=1
    for i in range(n):
        s=make(i); a=tasks.agent(s)
        if not a: continue
        g,h,ans,e=a; t=generate(m,s.img,agent_text(g,h)); A,P,X,K=parse(t); a2,p2,x2,k2=parse(ans)
        if i<show: print('  ',g[:90],'|',repr(t),'| want',repr(ans),e and e['box'])
        note('kind of action',A==a2); note('think line',t.split('</think>')[0]==ans.split('</think>')[0])
        if e and p2: note('point in '+('field' if e['kind']=='field' else 'button' if e['kind']=='button' else 'other'),inside(P,e['box']))
        if x2 is not None: note('text exact',X==x2)
        note('whole step',A==a2 and X==x2 and K==k2 and (not (e and p2) or inside(P,e['box'])))
        e=next((q for q in tasks.usable(s) if q['label']),None)
        if e:
            u=e['label'].replace('"',"'"); t=generate(m,s.img,tasks.LOC+u+tasks.LEND); b=re.search(r'\[(\d+), (\d+), (\d+), (\d+)\]',t); note('grounding box centre',b and inside(((int(b[1])+int(b[3]))//2,(int(b[2])+int(b[4]))//2),e['box']))
    return {k:f'{v[0]}/{v[1]}' for k,v in R.items()}

def resized(img):
    w,h=img.size; return img.resize((max(56,round(w/28)*28),max(56,round(h/28)*28)),Image.BICUBIC)
def zenity(m,n,W,H,display,seed=4242,out=None,show=3):
    env=dict(os.environ,DISPLAY=f':{display}'); env.pop('LD_PRELOAD',None)
    xs=subprocess.Popen(['Xvfb',f':{display}','-screen','0',f'{W}x{H}x24'],stderr=subprocess.DEVNULL); time.sleep(1)
    ob=subprocess.Popen(['openbox'],env=env,stderr=subprocess.DEVNULL); time.sleep(1); R={}
    def note(k,ok): r=R.setdefault(k,[0,0]); r[0]+=bool(ok); r[1]+=1
    try:
        for i in range(n):
            r=random.Random(seed+i); labels=[]
            while len(labels)<3:
                l=r.choice(words.FIELDS)
                if l not in labels: labels.append(l)
            if i==0: labels=['First name','Last name','Email']
            vals=['Ada','Lovelace','ada@example.com'] if i==0 else [words.value_for(r,l) for l in labels]
            goal='Fill in the form: '+', '.join(f'{l} {v}' for l,v in zip(labels,vals))+', then press OK'
            z=subprocess.Popen(['zenity','--forms','--title=New entry','--text=Enter the data']+[f'--add-entry={l}' for l in labels],env=env,stdout=subprocess.PIPE,stderr=subprocess.DEVNULL); time.sleep(1.2)
            hist=[]; good=0
            for k in range(5):
                shot=ImageGrab.grab(xdisplay=f':{display}').convert('RGB'); img=resized(shot); t=generate(m,img,agent_text(goal,tasks.hist(hist))); A,P,X,K=parse(t)
                if i<show: print('  ',goal if k==0 else '',repr(t)); out and img.save(f'{out}/z{i}_{k}.png')
                note(f'step {k}: kind',A==('input' if k<3 else 'click' if k==3 else 'finished'))
                if k<3: note('text exact',X==vals[k]); note('think line',f'field "{labels[k]}"' in t)
                if k==4 or A not in('input','click','press'): break
                if P:
                    x,y=round(P[0]*W/img.size[0]),round(P[1]*H/img.size[1]); subprocess.run(['xdotool','mousemove',str(x),str(y),'click','1'],env=env); time.sleep(.15)
                if A=='input':
                    subprocess.run(['xdotool','type','--delay','8',X or ''],env=env); hist.append(f'{{"action_name": "input", "text": "{X}"}}')
                elif A=='click': hist.append(f'{{"action_name": "click", "start_point": [{P[0]}, {P[1]}]}}' if P else '{"action_name": "click"}')
                else: subprocess.run(['xdotool','key','Return'],env=env); hist.append('{"action_name": "press", "keys": ["enter"]}')
                time.sleep(.35)
            time.sleep(.2); ok=False
            if z.poll() is not None: o=z.stdout.read().decode().strip(); ok=z.returncode==0 and o=='|'.join(vals); i<show and print('   zenity said',o)
            else: z.kill()
            note('whole form',ok); note('submitted',z.returncode==0)
    finally: ob.kill(); xs.kill()
    return {k:f'{v[0]}/{v[1]}' for k,v in R.items()}
if __name__=='__main__':
    A=argparse.ArgumentParser(); A.add_argument('checkpoint'); A.add_argument('--real',default=''); A.add_argument('--n',type=int,default=40); A.add_argument('--zenity',type=int,default=10)
    A.add_argument('--size',default='448x336'); A.add_argument('--screen',default='448x336'); A.add_argument('--display',type=int,default=79); A.add_argument('--save',default=''); A.add_argument('--drawn',type=int,default=1); a=A.parse_args()
    m=load(a.checkpoint); w,h=map(int,a.size.split('x'))
    if a.drawn: print('drawn',a.size,steps(m,lambda i:gen_drawn.Screen(w,h,5*10**8+i).render(),a.n,0),flush=True)
    if a.real: R=screens.Real(a.real,'test'); print('windows',a.size,steps(m,lambda i:screens.Composite(w,h,6*10**8+i,R),a.n),flush=True)
    if a.zenity: W,H=map(int,a.screen.split('x')); print('zenity',a.screen,zenity(m,a.zenity,W,H,a.display,out=a.save or None),flush=True)
