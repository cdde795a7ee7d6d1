import torch, torch.nn as nn, torch.nn.functional as F, math
class C:  # nano config, HF Qwen2_5_VL names
    vd=192; vl=6; vh=3; vff=512; full=(2,5); patch=14; merge=2; win=112
    d=256; l=6; h=4; kv=2; hd=64; ff=704; vocab=1024; theta=10000.0; mrope=(8,12,12)
class RMS(nn.Module):
    def __init__(s,d): super().__init__(); s.weight=nn.Parameter(torch.ones(d))
    def forward(s,x):
        y=x.float(); return (y*torch.rsqrt(y.pow(2).mean(-1,keepdim=True)+1e-6)*s.weight).to(x.dtype)
def rot(x,cos,sin):
    cos,sin=cos.to(x.dtype),sin.to(x.dtype); a,b=x.chunk(2,-1); return x*cos+torch.cat((-b,a),-1)*sin
class VAttn(nn.Module):
    def __init__(s,c): super().__init__(); s.qkv=nn.Linear(c.vd,3*c.vd); s.proj=nn.Linear(c.vd,c.vd); s.h=c.vh
    def forward(s,x,cos,sin,mask):  # x [B,N,d]
        B,N,D=x.shape; q,k,v=s.qkv(x).view(B,N,3,s.h,D//s.h).permute(2,0,3,1,4)
        q,k=rot(q,cos,sin),rot(k,cos,sin)
        if N==64:
            a=torch.matmul(q*(q.shape[-1]**-.5),k.transpose(-1,-2))
            if mask is not None: a=a.masked_fill(~mask,-1e9)
            o=torch.matmul(torch.softmax(a.float(),-1).to(v.dtype),v)
        else: o=F.scaled_dot_product_attention(q,k,v,attn_mask=mask)
        return s.proj(o.transpose(1,2).reshape(B,N,D))
class VMlp(nn.Module):
    def __init__(s,c): super().__init__(); s.gate_proj=nn.Linear(c.vd,c.vff); s.up_proj=nn.Linear(c.vd,c.vff); s.down_proj=nn.Linear(c.vff,c.vd)
    def forward(s,x): return s.down_proj(F.silu(s.gate_proj(x))*s.up_proj(x))
class VBlock(nn.Module):
    def __init__(s,c): super().__init__(); s.norm1=RMS(c.vd); s.norm2=RMS(c.vd); s.attn=VAttn(c); s.mlp=VMlp(c)
class Patch(nn.Module):
    def __init__(s,c): super().__init__(); s.proj=nn.Conv3d(3,c.vd,(2,14,14),(2,14,14),bias=False)
class Merger(nn.Module):
    def __init__(s,c): super().__init__(); s.ln_q=RMS(c.vd); s.mlp=nn.Sequential(nn.Linear(4*c.vd,4*c.vd),nn.GELU(),nn.Linear(4*c.vd,c.d))
class Visual(nn.Module):
    def __init__(s,c):
        super().__init__(); s.c=c; s.patch_embed=Patch(c); s.blocks=nn.ModuleList(VBlock(c) for _ in range(c.vl)); s.merger=Merger(c)
    def forward(s,img):  # img [B,3,H,W] normalised, H,W multiples of 28 -> [B,n,d], patch feats
        c=s.c; B,_,H,Wd=img.shape; gh,gw=H//14,Wd//14
        w=s.patch_embed.proj.weight.sum(2)
        x=F.conv2d(img,w,stride=14)               # B,d,gh,gw
        # pad to whole 8x8-patch windows; window-major, merge-group order inside
        ph,pw=(-gh)%8,(-gw)%8
        ok=F.pad(torch.ones(gh,gw),(0,pw,0,ph)); pos=torch.stack(torch.meshgrid(torch.arange(gh+ph),torch.arange(gw+pw),indexing='ij'))
        x=F.pad(x,(0,pw,0,ph)); Hh,Ww=gh+ph,gw+pw; nh,nw=Hh//8,Ww//8
        def win(t):  # [...,Hh,Ww] -> [..., nh*nw, 64] merge groups of 4 contiguous
            L=t.shape[:-2]; t=t.reshape(*L,nh,4,2,nw,4,2); n=len(L)
            return t.permute(*range(n),n,n+3,n+1,n+4,n+2,n+5).reshape(*L,nh*nw,64)
        xw=win(x).permute(0,2,3,1)                 # B,nW,64,d
        okw=win(ok).bool(); pw_=win(pos).float()   # [nW,64],[2,nW,64]
        hd=c.vd//c.vh; inv=1/(10000**(torch.arange(0,hd//2,2).float()/(hd//2)))
        fr=torch.cat((pw_[0][...,None]*inv,pw_[1][...,None]*inv),-1); fr=torch.cat((fr,fr),-1)
        keep=okw.flatten().nonzero().squeeze(1); partial=not bool(okw.all())
        cosw,sinw=fr.cos(),fr.sin()                # nW,64,hd
        x=xw.to(torch.bfloat16) if torch.is_autocast_enabled('cpu') else xw
        nW=nh*nw
        wm=None
        if partial: wm=okw[:,None,None,:].expand(nW,1,64,64).repeat(B,1,1,1)
        for i,b in enumerate(s.blocks):
            y=b.norm1(x)
            if i in c.full:
                z=y.reshape(B,nW*64,c.vd)[:,keep]; co,si=cosw.reshape(-1,hd)[keep],sinw.reshape(-1,hd)[keep]
                z=b.attn(z,co,si,None)
                if partial: o=torch.zeros(B,nW*64,c.vd,dtype=z.dtype); o[:,keep]=z; z=o
                x=x+z.view(B,nW,64,c.vd)
            else:
                co=cosw[None].expand(B,-1,-1,-1).reshape(B*nW,1,64,hd); si=sinw[None].expand(B,-1,-1,-1).reshape(B*nW,1,64,hd)
                x=x+b.attn(y.reshape(B*nW,64,c.vd),co,si,wm).view(B,nW,64,c.vd)
            x=x+b.mlp(b.norm2(x))
        feat=x
        m=s.merger.mlp(s.merger.ln_q(x).reshape(B,nW*16,4*c.vd))
        # back to raster order of merged cells
        cell=torch.arange((Hh//2)*(Ww//2)).reshape(nh,4,nw,4).permute(0,2,1,3).reshape(-1)
        inv_=torch.empty_like(cell); inv_[cell]=torch.arange(cell.numel())
        r=inv_.reshape(Hh//2,Ww//2)[:gh//2,:gw//2].reshape(-1)
        return m[:,r],(feat,pw_,okw)
class Attn(nn.Module):
    def __init__(s,c): super().__init__(); s.c=c; s.q_proj=nn.Linear(c.d,c.h*c.hd); s.k_proj=nn.Linear(c.d,c.kv*c.hd); s.v_proj=nn.Linear(c.d,c.kv*c.hd); s.o_proj=nn.Linear(c.h*c.hd,c.d,bias=False)
    def forward(s,x,cos,sin,mask,cache=None):
        c=s.c; B,S,_=x.shape
        q=s.q_proj(x).view(B,S,c.h,c.hd).transpose(1,2); k=s.k_proj(x).view(B,S,c.kv,c.hd).transpose(1,2); v=s.v_proj(x).view(B,S,c.kv,c.hd).transpose(1,2)
        q,k=rot(q,cos,sin),rot(k,cos,sin); s.qk=(q,k) if s.training else None
        if cache is not None:
            if cache: k=torch.cat((cache[0],k),2); v=torch.cat((cache[1],v),2)
            cache[:]=[k,v]
        g=c.h//c.kv; k=k.repeat_interleave(g,1); v=v.repeat_interleave(g,1)
        return s.o_proj(F.scaled_dot_product_attention(q,k,v,attn_mask=mask).transpose(1,2).reshape(B,S,-1))
class Mlp(nn.Module):
    def __init__(s,c): super().__init__(); s.gate_proj=nn.Linear(c.d,c.ff,bias=False); s.up_proj=nn.Linear(c.d,c.ff,bias=False); s.down_proj=nn.Linear(c.ff,c.d,bias=False)
    def forward(s,x): return s.down_proj(F.silu(s.gate_proj(x))*s.up_proj(x))
class Layer(nn.Module):
    def __init__(s,c): super().__init__(); s.self_attn=Attn(c); s.mlp=Mlp(c); s.input_layernorm=RMS(c.d); s.post_attention_layernorm=RMS(c.d)
class LM(nn.Module):
    def __init__(s,c): super().__init__(); s.c=c; s.embed_tokens=nn.Embedding(c.vocab,c.d); s.layers=nn.ModuleList(Layer(c) for _ in range(c.l)); s.norm=RMS(c.d)
class Nano(nn.Module):
    def __init__(s,c=C):
        super().__init__(); s.c=c; s.visual=Visual(c); s.model=LM(c)
        s.ocr=nn.Linear(c.vd,2*96); s.posh=nn.Linear(c.d,128); s.pq=nn.Linear(c.d,128); s.pk=nn.Linear(c.d,128); s.tq=nn.Linear(c.d,128); s.tk=nn.Linear(c.d,128); s.cq=nn.Linear(c.d,128); s.ck=nn.Linear(c.d,128); s.rd=nn.Linear(c.d,c.d)
        for n,p in s.named_parameters():
            if p.dim()>=2: nn.init.normal_(p,std=0.02 if 'embed' in n else 1/math.sqrt(p[0].numel()))
            if n.endswith(('o_proj.weight','down_proj.weight','attn.proj.weight')): p.data.mul_(1/math.sqrt(2*c.l))
            if n.endswith('bias'): nn.init.zeros_(p)
    def rope(s,pos):  # pos [3,B,S]
        c=s.c; inv=1/(c.theta**(torch.arange(0,c.hd,2).float()/c.hd)); f=pos[...,None].float()*inv  # 3,B,S,hd/2
        a=[m[i] for i,m in enumerate(f.split(c.mrope,-1))]; f=torch.cat(a,-1); f=torch.cat((f,f),-1)
        return f.cos()[:,None],f.sin()[:,None]
    def lm(s,x,pos,mask,caches=None,mid=2):
        cos,sin=s.rope(pos); h2=h3=h4=None
        for i,l in enumerate(s.model.layers):
            x=x+l.self_attn(l.input_layernorm(x),cos,sin,mask,None if caches is None else caches[i]); x=x+l.mlp(l.post_attention_layernorm(x))
            if i==mid-1: h2=x
            if i==2: h3=x
            if i==3: h4=x
        return s.model.norm(x),(h2,h3,h4)
