"""Train nano.  Two or more single-thread processes, parameters averaged every few steps; resumable.

    python train.py NAME MINUTES LR SIZES [--init FILE] [--procs 2]

State: NAME.pt (model, optimiser, averaged weights), written every few minutes and at the end.
"""
import argparse, glob, math, os, random, sys, time
import numpy as np, torch, torch.nn.functional as F, torch.distributed as dist
from tokenizers import Tokenizer
import gen_drawn, tasks, screens, words
from model import Nano, C
HERE=os.path.dirname(os.path.abspath(__file__))
T=Tokenizer.from_file(os.environ.get('NANO_TOKENIZER',os.path.join(HERE,'../../data/nano/tokenizer.json')))
E=lambda s:T.encode(s).ids
IMG=T.token_to_id('<|image_pad|>'); EOS=T.token_to_id('<|im_end|>'); ENC={}
PRE=E(tasks.SYS); POST=E('<|vision_end|>')
HEAD={'agent':E(tasks.AGENT),'short':E('## Goal\n'),'locate':E(tasks.LOC),'ask':[]}
MEAN=np.array([0.48145466,0.4578275,0.40821073],np.float32); STD=np.array([0.26862954,0.26130258,0.27577711],np.float32)
BRK=[i for i in range(T.get_vocab_size()) if T.decode([i]).endswith('[')]
DIG={T.token_to_id(str(i)) for i in range(10)}
def norm(im): return torch.from_numpy(((np.asarray(im,np.float32)/255-MEAN)/STD).transpose(2,0,1))
def cell(x,y,gw,gh):
    i,j=int(y//28),int(x//28)
    return i*(gw//2)+j if 0<=i<gh//2 and 0<=j<gw//2 else None
class Pack:
    """One image's sequence: prefix, image, optional header, segments."""
    def __init__(s,scr,head):
        s.scr=scr; s.gh,s.gw=scr.h//14,scr.w//14; n=(s.gh//2)*(s.gw//2); p=len(PRE)
        s.ids=list(PRE)+[IMG]*n+POST; st=p+max(s.gh,s.gw)//2
        s.pos=[[i]*3 for i in range(p)]+[[p,p+r,p+c] for r in range(s.gh//2) for c in range(s.gw//2)]+[[st]*3]
        s.seg=[0]*len(s.ids); s.st0=st+1; hd=HEAD[head]; s.ids+=hd; s.pos+=[[st+1+k]*3 for k in range(len(hd))]; s.seg+=[1]*len(hd); s.st=s.st0+len(hd)
        s.lab=[-100]*len(s.ids); s.wt=[0.]*len(s.ids); s.full=[False]*len(s.ids); s.bp=[]; s.tp=[]; s.cp=[]; s.bx=[]; s.ns=2
        where={}
        for t,xs,my in scr.words:
            k=t.rstrip(':'); where[k]=None if k in where else (xs,my)
        s.where={k:v for k,v in where.items() if v}
    def add(s,user,ans,e,full,lm=True,coords_only=False,blind=False):
        ue=T.encode(user) if user else None; u=ue.ids if user else []; en=T.encode(ans); v=en.ids; o=len(s.ids); nu=len(u); base=s.st if full else s.st0+s.scr.r.randint(0,320)
        s.ids+=u+v; s.pos+=[[base+k]*3 for k in range(nu+len(v))]; s.seg+=[s.ns]*(nu+len(v)); s.full+=[full]*(nu+len(v)); s.ns+=1
        k2=max([j for j,z in enumerate(v) if z in BRK],default=None) if '_point' in ans or 'bbox' in ans else None
        for j,z in enumerate(v):
            co=k2 is not None and j>k2 and j<=k2+10
            s.lab.append(z if lm and (co or not coords_only) and not (co and blind and z in DIG) else -100); s.wt.append(2.5 if co and z in DIG else .5)
        if ue is not None and full:
            # the words of the answer that come from the goal: each must look at where it is copied from
            g=user.split('\n\n## Prev')[0].lower()
            for key in ('"text": "','\n'+ans.split('\n')[1].split(' "')[0]+' "' if ' "' in ans.split('</')[0] else None):
                a=ans.find(key) if key else -1
                if a<0: continue
                a+=len(key); b=ans.find('"}' if 'text' in key else '"\n',a); v_=ans[a:b]; z0=g.find(v_.lower())
                if not v_ or g.count(v_.lower())!=1: continue
                for j,(x,y) in enumerate(en.offsets):
                    if y>a and x<b+1:
                        s.wt[o+j]=2.
                        x=max(x,a)
                        if x<b:
                            q=next((i for i,(c,d) in enumerate(ue.offsets) if c<=z0+x-a<d),None)
                            if q is not None: s.cp.append((o+nu+j-1,o+q))
        s.lab[o:o]=[-100]*nu; s.wt[o:o]=[0.]*nu
        if e is not None:
            if k2 is not None:
                s.bp.append((o+nu+k2,e['box']))
                for j in range(k2+1,min(k2+9,len(v)-1)):
                    if v[j+1] in DIG or v[j] in DIG: s.bx.append((o+nu+j,e['box']))
            l=e['label']; a=ans.find('"'+l+'"')
            if l and a>=0:
                a+=1; b=a+len(l); w=s.where.get(l)
                for j,(x,y) in enumerate(en.offsets):
                    if x<=b<y and y<=b+3: s.bp.append((o+nu+j,e['box']))
                    if w and x>=a-1 and y<=b and y>a:
                        xs=[w[0][z-a] for z in range(max(a,x),y) if z-a<len(w[0])]
                        if xs:
                            c=cell(sum(xs)/len(xs),w[1],s.gw,s.gh)
                            if c is not None: s.tp.append((o+nu+j,c))
def pack(scr,blind=False):
    r=scr.r; v=r.random()*(.9 if blind else 1)+(.1 if blind else 0); v=max(v,.121) if blind else v; head='locate' if v<.08 else 'ask' if v<.12 else 'agent' if v<.55 else 'short'
    p=Pack(scr,head)
    if blind: k=r.randint(8,24); p.st+=k; p.st0+=k
    els=tasks.usable(scr); r.shuffle(els)
    if head in('locate','ask'):
        for u,a,b in tasks.segments(scr,4,head)[1]:
            e=next((e for e in scr.el if e['box']==b),None) if b else None
            p.add(u+tasks.TURN,a+'<|im_end|>',None,True)
            if e is not None:
                k=[j for j in range(len(p.ids)) if p.seg[j]==p.ns-1 and p.ids[j] in BRK]
                if k: p.bp.append((k[-1],b))
    else:
        for _ in range(8 if blind else 2):
            a=tasks.agent(scr)
            if a and (len(p.ids)<1200) and not (blind and 'not found' in a[2]): p.add(a[0]+'\n\n## Previous Actions\n'+a[1]+tasks.AEND+tasks.TURN,a[2]+'<|im_end|>',None if blind else a[3],True,blind=blind)
            if blind: scr.again()
        if blind: p.rd=[]; return p
    for i,e in enumerate(els[:14]):
        if not e['label']: continue
        if i<5:
            t=tasks.input_op(e,'')[1].split(', "text')[0] if e['kind']=='field' else tasks.click_op(e)[1]
            p.add('',tasks.answer(f'{e["kind"]} "{e["label"]}"',t),e,False,coords_only=True)
        else: p.add('',f'<think>\n{e["kind"]} "{e["label"]}"\n',e,False,lm=False)
    p.rd=[]
    for t,xs,my in scr.words:
        en=ENC.get(t) or T.encode(' '+t)
        for tid,(a,b) in zip(en.ids,en.offsets):
            q=[xs[z-1] for z in range(max(a,1),b) if 0<=z-1<len(xs)]
            if q:
                c=cell(sum(q)/len(q),my,p.gw,p.gh)
                if c is not None: p.rd.append((c,tid))
    return p
def ocrmap(scr):
    oc=torch.zeros(scr.h//14,scr.w//14,2,dtype=torch.long)
    for x,y,c in scr.chars:
        i,j=int(y//14),int(x//14)
        if 0<=i<oc.shape[0] and 0<=j<oc.shape[1]: oc[i,j,int(x%14>=7)]=c
    return oc
def boxcells(b,gh,gw):
    ys=torch.arange(gh//2)*28.; xs=torch.arange(gw//2)*28.
    f=lambda z,a,c:(torch.clamp(z+28,max=float(c))-torch.clamp(z,min=float(a))).clamp(min=0)
    m=(f(ys,b[1],b[3])[:,None]*f(xs,b[0],b[2])[None]).flatten(); return m/m.sum().clamp(min=1e-6)
class Blind:
    """No picture: only the sentence, the history and the words of the answer."""
    def __init__(s,seed): s.r=random.Random(seed); s.w=s.h=56; s.img=np.full((56,56,3),s.r.randint(0,255),np.uint8); s.words=[]; s.chars=[]; s.texts=[]; s.again()
    def again(s):
        r=s.r; L=[]
        while len(L)<r.choice([2,3,3,4,5,6]):
            l=words.form_label(r)
            if l.lower() not in [q.lower() for q in L]: L.append(l)
        n=len(L); k=r.choice([0,r.randint(0,n),n]); bx=lambda:(lambda x,y:(x,y,x+40,y+20))(r.randint(5,580),r.randint(5,430))
        s.form=[dict(kind='field',label=l,box=bx(),value=words.value_for(r,l) if i<k else '') for i,l in enumerate(L)]
        B=['OK','Cancel'] if r.random()<.4 else r.sample(words.BUTTONS,2)
        s.el=s.form+[dict(kind='button',label=b,box=bx()) for b in B]
        for kd in r.sample(['checkbox','menu','radio','button','item','link','tab'],2): s.el.append(dict(kind=kd,label=words.phrase(r),box=bx()))
def batch(real,w,h,B,seed,rp,blind=False):
    ps=[]
    for i in range(B):
        r=random.Random(seed*7919+i)
        if blind: ps.append(pack(Blind(seed*1009+i),True)); continue
        scr=screens.Composite(w,h,seed*1009+i,real) if real and r.random()<rp else gen_drawn.Screen(w,h,seed*1009+i).render()
        ps.append(pack(scr))
    S=(max(len(p.ids) for p in ps)+63)//64*64
    ids=torch.zeros(B,S,dtype=torch.long); pos=torch.zeros(3,B,S); seg=torch.full((B,S),-1); lab=torch.full((B,S),-100); wt=torch.zeros(B,S); full=torch.zeros(B,S,dtype=torch.bool)
    for i,p in enumerate(ps):
        n=len(p.ids); ids[i,:n]=torch.tensor(p.ids); pos[:,i,:n]=torch.tensor(p.pos).T.float(); seg[i,:n]=torch.tensor(p.seg); lab[i,:n]=torch.tensor(p.lab); wt[i,:n]=torch.tensor(p.wt); full[i,:n]=torch.tensor(p.full)
    k=torch.arange(S); mask=(k[None,:]<=k[:,None])[None]&((seg[:,None,:]==0)|(seg[:,None,:]==seg[:,:,None])|((seg[:,None,:]==1)&full[:,:,None]))
    bp=[(i,t) for i,p in enumerate(ps) for t,_ in p.bp]; bc=torch.stack([boxcells(b,p.gh,p.gw) for p in ps for _,b in p.bp]) if bp else None
    return dict(img=torch.stack([norm(p.scr.img) for p in ps]),oc=torch.stack([ocrmap(p.scr) for p in ps]),ids=ids,pos=pos,mask=mask[:,None],lab=lab,wt=wt,bp=bp,bc=bc,bx=[(i,t) for i,p in enumerate(ps) for t,_ in p.bp+p.bx],xc=torch.stack([boxcells(b,p.gh,p.gw) for p in ps for _,b in p.bp+p.bx]) if bp else None,cp=[(i,t,c) for i,p in enumerate(ps) for t,c in p.cp],seg=seg,tp=[(i,t,c) for i,p in enumerate(ps) for t,c in p.tp],rd=[(i,c,t) for i,p in enumerate(ps) for c,t in p.rd])
def ocrloss(m,aux,oc,B):
    pf,pw,ok=aux; kp=ok.flatten(); pi=pw.long().flatten(1)[:,kp]; o=oc[:,pi[0],pi[1]].reshape(-1)
    lo=m.ocr(pf.reshape(B,-1,pf.shape[-1])[:,kp]).reshape(-1,96); w=torch.where(o>0,1.0,0.15)
    return (F.cross_entropy(lo.float(),o.clamp(max=95),reduction='none')*w).sum()/w.sum(),(lo.argmax(-1)==o)[o>0].float().mean()
def loss_page(m,real,w,h,B,seed):
    ss=[gen_drawn.Page(w,h,seed*1009+i).render() for i in range(B)]
    _,aux=m.visual(torch.stack([norm(s.img) for s in ss])); return ocrloss(m,aux,torch.stack([ocrmap(s) for s in ss]),B)
Z=lambda:torch.tensor(0.)
def loss_full(m,b):
    B,S=b['ids'].shape; f,aux=m.visual(b['img']); im=b['ids']==IMG
    x=m.model.embed_tokens(b['ids']).masked_scatter(im[...,None],f.float()).to(torch.bfloat16 if torch.is_autocast_enabled('cpu') else torch.float32)
    h,(h2,h3,h4)=m.lm(x,b['pos'],b['mask']); R={}
    t=b['lab'][:,1:].reshape(-1); k=(t>=0).nonzero().squeeze(1); w=b['wt'][:,1:].reshape(-1)[k]
    lo=F.linear(h[:,:-1].reshape(-1,h.shape[-1])[k],m.model.embed_tokens.weight).float(); ce=F.cross_entropy(lo,t[k],reduction='none'); L=(ce*w).sum()/w.sum()
    hit=(lo.argmax(-1)==t[k]).float(); R['lm']=L; R.update({k:hit[w==z].mean() for k,z in (('dig',2.5),('own',2.),('txt',.5)) if (w==z).any()})
    if b['oc'].any(): l2,R['ocr']=ocrloss(m,aux,b['oc'],B)
    else: l2=Z()
    hp=m.posh(h2[im]).float(); p0=len(PRE); r,c=(b['pos'][1][im]-p0).long(),(b['pos'][2][im]-p0).long()
    l3=F.cross_entropy(hp[:,:64],r.clamp(max=63))+F.cross_entropy(hp[:,64:],c.clamp(max=63)); R['pos']=l3
    if not b['oc'].any(): l3=Z()
    lb=lt=lr=lc=Z()
    if b['cp']:
        i=torch.tensor(b['cp']); q=m.cq(h3[i[:,0],i[:,1]]).float(); kk=m.ck(h3).float()[i[:,0]]; sc=torch.einsum('nd,nkd->nk',q,kk)/11.3
        sc=sc.masked_fill((b['seg'][i[:,0]]!=b['seg'][i[:,0],i[:,1]][:,None])|(torch.arange(S)[None]>i[:,1:2]),-1e4); lc=F.cross_entropy(sc,i[:,2]); R['copy']=(sc.argmax(-1)==i[:,2]).float().mean()
    V=lambda h:h[im].view(B,-1,h.shape[-1])
    # the same pointing, asked of real attention heads, so that what is pointed at also flows on
    la=Z(); p0=len(PRE); nv=b['ids'].eq(IMG)[0].sum()
    def att(layer,head,i):
        q,k=m.model.layers[layer].self_attn.qk; sc=torch.einsum('nd,nkd->nk',q[i[:,0],head,i[:,1]].float(),k[i[:,0],head//2].float())/8
        return sc.masked_fill(~b['mask'][i[:,0],0,i[:,1]],-1e4)
    if b['bx']:
        i=torch.tensor(b['bx']); sc=att(4,2,i); lp=F.log_softmax(sc,-1)[:,p0:p0+nv]; la=la-(b['xc']*lp).sum(-1).mean(); R['abox']=(lp.exp()*(b['xc']>0)).sum(-1).mean().detach()
    if b['tp']: i=torch.tensor(b['tp']); sc=att(3,0,i); la=la+.5*F.cross_entropy(sc,i[:,2]+p0)
    if b['cp']: i=torch.tensor(b['cp']); sc=att(3,2,i); la=la+F.cross_entropy(sc,i[:,2]); R['acopy']=(sc.argmax(-1)==i[:,2]).float().mean()
    if b['bp']:
        i=torch.tensor(b['bp']); q=m.pq(h4[i[:,0],i[:,1]]).float(); kk=m.pk(V(h4)).float()[i[:,0]]; sc=torch.einsum('nd,nkd->nk',q,kk)/11.3
        lb=-(b['bc']*F.log_softmax(sc,-1)).sum(-1).mean(); R['box']=(b['bc'].gather(1,sc.argmax(-1,keepdim=True))>0).float().mean()
    if b['tp']:
        i=torch.tensor(b['tp']); q=m.tq(h3[i[:,0],i[:,1]]).float(); kk=m.tk(V(h3)).float()[i[:,0]]; sc=torch.einsum('nd,nkd->nk',q,kk)/11.3
        lt=F.cross_entropy(sc,i[:,2]); R['tok']=(sc.argmax(-1)==i[:,2]).float().mean()
    if b['rd']:
        i=torch.tensor(b['rd']); lg=F.linear(m.rd(V(h2)[i[:,0],i[:,1]]),m.model.embed_tokens.weight).float(); lr=F.cross_entropy(lg,i[:,2]); R['read']=(lg.argmax(-1)==i[:,2]).float().mean()
    return L+.5*l2+.15*l3+.7*lb+.5*lt+.4*lr+.3*lc+.5*la,R
def worker(rank,a):
    os.nice(0); torch.set_num_threads(1); torch.manual_seed(0)
    if a.procs>1: dist.init_process_group('gloo',init_method='tcp://127.0.0.1:%d'%a.port,rank=rank,world_size=a.procs)
    m=Nano(); st=0; G={}
    for n,p in m.named_parameters(): G.setdefault((n.startswith('visual.'),p.dim()>=2),[]).append(p)
    opt=torch.optim.AdamW([dict(params=ps,weight_decay=.05 if k[1] else 0,k=a.vlr if k[0] else 1.0) for k,ps in G.items()],lr=a.lr,betas=(.9,.98))
    ema=None
    if a.init:
        c=torch.load(a.init); print(m.load_state_dict(c['m'],strict=False)) if rank==0 else m.load_state_dict(c['m'],strict=False)
        st=c.get('step',0)
        if a.opt and 'o' in c: opt.load_state_dict(c['o'])
    P=[p for p in m.parameters()]; sizes=[tuple(map(int,z.split('x'))) for z in a.sizes.split(',')]; t0=time.time(); last=t0; lastsave=t0; av={}; s0=st
    real=screens.Real(a.real) if a.real else None
    while True:
        el=time.time()-t0; n=st-s0
        if el>a.minutes*60: break
        if a.procs>1 and n%a.every==0 and n:
            fl=torch.cat([p.data.view(-1) for p in P]+[torch.tensor([el])]); dist.all_reduce(fl); fl/=a.procs; o=0
            for p in P: p.data.copy_(fl[o:o+p.numel()].view_as(p)); o+=p.numel()
            el=float(fl[-1])
            if el>a.minutes*60-a.every*1.5: break
            if n>100:
                sd={k:v.detach().clone() for k,v in m.state_dict().items()}
                if ema is None: ema=sd
                else:
                    for k in ema: ema[k].mul_(.92).add_(sd[k],alpha=.08)
        if n%100==0 and real and n: real=screens.Real(a.real)
        f=min(1,(n+1)/a.warm)*(a.floor+(1-a.floor)*.5*(1+math.cos(math.pi*min(1,el/(a.minutes*60)))))
        for g in opt.param_groups: g['lr']=a.lr*f*g.get('k',1.0)
        rs=random.Random(a.seed*10**6+st); w,h=rs.choice(sizes); seed=(a.seed*10**6+st)*a.procs+rank
        u=rs.random(); page=u<a.page; blind=u>1-a.blind; B=max(1,int(a.budget/(w*h/196)+.5))
        with torch.autocast('cpu',torch.bfloat16):
            if page: L,oa=loss_page(m,real,w,h,B,seed); R={'page':oa}
            else: L,R=loss_full(m,batch(real,w,h,1 if blind else B,seed,a.rp,blind)); R={('b_' if blind and 'copy' not in k else '')+k:v for k,v in R.items() if not (blind and k in('dig','pos','ocr'))}
        opt.zero_grad(); L.backward(); torch.nn.utils.clip_grad_norm_(P,1.0); opt.step(); st+=1
        for k,v in R.items(): v=float(v); av[k]=v if k not in av else av[k]*.95+v*.05
        if rank==0 and st%25==0: print(f'{el:.0f}s step {st} {(time.time()-last)/25:.2f}s/step '+' '.join(f'{k} {v:.3f}' for k,v in av.items()),flush=True); last=time.time()
        if rank==0 and time.time()-lastsave>a.save*60:
            torch.save(dict(m=m.state_dict(),o=opt.state_dict(),step=st,**({'ema':ema} if ema else {})),a.name+'.tmp'); os.replace(a.name+'.tmp',a.name+'.pt'); lastsave=time.time()
    if rank==0:
        d=dict(m=m.state_dict(),o=opt.state_dict(),step=st)
        if ema: d['ema']=ema
        torch.save(d,a.name+'.tmp'); os.replace(a.name+'.tmp',a.name+'.pt'); print('saved',a.name,st)
if __name__=='__main__':
    A=argparse.ArgumentParser(); A.add_argument('name'); A.add_argument('minutes',type=float); A.add_argument('lr',type=float); A.add_argument('sizes')
    for k,v in dict(init='',real='',procs=2,every=8,budget=1600,seed=1,warm=40,port=29511).items(): A.add_argument('--'+k,type=type(v),default=v)
    for k,v in dict(vlr=.3,page=.08,blind=.3,rp=.8,save=5.,floor=.02).items(): A.add_argument('--'+k,type=float,default=v)
    A.add_argument('--opt',action='store_true'); a=A.parse_args()
    import torch.multiprocessing as mp
    mp.spawn(worker,args=(a,),nprocs=a.procs) if a.procs>1 else worker(0,a)
