"""Random GUI screens with exact ground truth (boxes, labels, per-character positions)."""
import random, glob, string, json
from PIL import Image, ImageDraw, ImageFont
import numpy as np

FONTS=[f for f in glob.glob('/usr/share/fonts/truetype/**/*.ttf',recursive=True)
       if 'Italic' not in f and 'Oblique' not in f and any(k in f for k in ('DejaVuSans.ttf','DejaVuSans-Bold.ttf','DejaVuSansMono.ttf','DejaVuSansCondensed.ttf','DejaVuSerif.ttf','LiberationSans-Regular','LiberationSans-Bold','LiberationMono-Regular','LiberationSerif-Regular','LiberationSansNarrow-Regular','Lato-Regular','Lato-Bold','Lato-Medium','OpenSans-Regular','OpenSans-SemiBold','Roboto-Regular','Roboto-Medium','NotoSans-Regular.','NotoSans-Bold.','NotoSerif-Regular.','NotoSansMono-Regular','Hack-Regular','FiraCode-Regular'))]
FONTS+=glob.glob('/usr/share/fonts/opentype/cantarell/*.otf')[:2]
from words import WORDS as W
UI='''OK Cancel Save Open Close Quit Exit New Edit View Help File Tools Options Settings Preferences Apply Reset Submit Send Search Find Replace Undo Redo Cut Copy Paste Delete Remove Add Insert Format Print Export Import Upload Download Refresh Reload Back Forward Next Previous Finish Start Stop Pause Resume Play Record Login Logout Sign_in Sign_up Sign_out Register Continue Skip Yes No Accept Decline Allow Deny Ignore Retry Abort Browse Select_all Clear Done More Less Show Hide Expand Collapse Connect Disconnect Install Uninstall Update Upgrade Run Debug Build Test Deploy Name Email Password Username Phone Address City Country Zip_code First_name Last_name Company Title Subject Message Comment Notes Description Date Time Amount Price Quantity Total Discount Remember_me Save_as Save_all Log_in Log_out Dark_mode Enable_sync Send_report Auto_save Show_password Full_screen Zoom_in Zoom_out Home Profile Account Billing Security Privacy Network Display Sound Keyboard Mouse Language Region About Documents Pictures Music Videos Desktop Trash Recent Favorites Inbox Sent Drafts Archive Spam Contacts Calendar Tasks Reports Users Groups Roles Dashboard Overview History Logs Status Bold Italic Underline Left Right Center Font Size Color Width Height Rotate Crop Filter Layer Brush Eraser Fill'''.split()
UI=[u.replace('_',' ') for u in UI]
_fc={}
def font(path,size):
    k=(path,size)
    if k not in _fc: _fc[k]=ImageFont.truetype(path,size,layout_engine=ImageFont.Layout.BASIC)
    return _fc[k]
_cl={}
def clen(f,c):
    k=(id(f),c)
    if k not in _cl: _cl[k]=f.getlength(c)
    return _cl[k]
CH={c:i+1 for i,c in enumerate(string.ascii_letters+string.digits+string.punctuation)}

def phrase(r,n=None):
    if r.random()<.45: return r.choice(UI)
    n=n or r.choice([1,1,1,2,2,3])
    ws=[r.choice(W) for _ in range(n)]
    s=r.random()
    if s<.5: ws=[w.capitalize() if i==0 else w.lower() for i,w in enumerate(ws)]
    elif s<.7: ws=[w.capitalize() for w in ws]
    elif s<.8: ws=[w.upper() for w in ws]
    else: ws=[w.lower() for w in ws]
    t=' '.join(ws)
    if r.random()<.06: t+=' '+str(r.randint(0,999))
    if r.random()<.05: t+='...'
    return t

class Screen:
    def __init__(s,w,h,seed):
        s.r=random.Random(seed); r=s.r; s.w,s.h=w,h
        s.dark=r.random()<.3
        g=lambda a,b:tuple(r.randint(a,b) for _ in range(3)) if r.random()<.3 else (lambda v:(v,v,min(255,v+r.randint(0,6))))(r.randint(a,b))
        s.bg=g(15,110) if s.dark else (g(60,255))
        s.win=g(20,70) if s.dark else g(215,255)
        s.fg=g(200,255) if s.dark else g(0,60)
        s.acc=r.choice([(53,132,228),(0,120,215),(38,162,105),(192,28,40),(145,65,172),(230,97,0),(60,60,60)])
        s.img=Image.new('RGB',(w,h),s.bg); s.d=ImageDraw.Draw(s.img)
        if r.random()<.35: s.d.fontmode='1'
        s.fp=r.choice(FONTS); s.fs=r.choice([11,12,12,13,13,14,14,15,16,18])
        s.f=font(s.fp,s.fs); s.lh=s.fs+r.randint(3,6)
        s.el=[]; s.chars=[]; s.texts=[]; s.words=[]; s.rad=r.choice([0,0,2,3,4,6,8]); s.pad=r.randint(4,12)
    def tw(s,t,f=None): f=f or s.f; return sum(clen(f,c) for c in t)
    def text(s,x,y,t,fill=None,f=None):
        f=f or s.f
        x=int(x);y=int(y)
        s.texts.append(t)
        s.d.text((x,y),t,font=f,fill=fill or s.fg)
        cx=x; asc=f.getmetrics()[0]
        my=y+asc*0.65; xs=[]
        for c in t:
            l=clen(f,c); xs.append(cx+l/2)
            if c!=' ' : s.chars.append((cx+l/2,my,CH.get(c,0)))
            cx+=l
        s.words.append((t,xs,my))
    def add(s,kind,label,box): s.el.append(dict(kind=kind,label=label,box=tuple(int(v) for v in box)))
    def box(s,b,fill=None,outline=None,rad=None):
        rad=s.rad if rad is None else rad
        if b[2]<=b[0] or b[3]<=b[1]: return
        if rad: s.d.rounded_rectangle(b,rad,fill=fill,outline=outline)
        else: s.d.rectangle(b,fill=fill,outline=outline)
    def shade(s,c,k): return tuple(max(0,min(255,int(v+k))) for v in c)
    def button(s,x,y,maxw):
        r=s.r; t=phrase(r); w=s.tw(t)+2*s.pad+r.randint(0,16); h=s.lh+r.randint(4,14)
        if w>maxw: return None
        prim=r.random()<.2
        fill=s.acc if prim else s.shade(s.win,(r.randint(12,40) if s.dark else -r.randint(4,30)))
        if r.random()<.15 and not prim: fill=None
        s.box((x,y,x+w,y+h),fill=fill,outline=None if r.random()<.3 and fill else s.shade(s.win,60 if s.dark else -70))
        s.text(x+(w-s.tw(t))/2,y+(h-s.fs)/2-1,t,fill=(255,255,255) if prim else None)
        s.add('button',t,(x,y,x+w,y+h)); return w,h
    def check(s,x,y,maxw,radio=False):
        r=s.r; t=phrase(r); q=s.fs-1; w=q+6+s.tw(t)
        if w>maxw: return None
        on=r.random()<.4; b=(x,y+2,x+q,y+2+q)
        if radio:
            s.d.ellipse(b,outline=s.fg,fill=s.acc if on else s.shade(s.win,10))
            if on: s.d.ellipse((x+q*.3,y+2+q*.3,x+q*.7,y+2+q*.7),fill=(255,255,255))
        else:
            s.box(b,fill=s.acc if on else s.shade(s.win,15),outline=s.fg,rad=min(2,s.rad))
            if on: s.d.line((x+2,y+2+q*.5,x+q*.45,y+q-1,x+q-2,y+5),fill=(255,255,255),width=2)
        s.text(x+q+6,y,t); s.add('radio' if radio else 'checkbox',t,(x,y,x+w,y+s.lh)); return w,s.lh+2
    def field(s,x,y,maxw,lw=None):
        r=s.r; t=phrase(r,r.choice([1,1,2])); colon=r.random()<.5; lt=t+(':' if colon else '')
        above=lw is None
        h=s.lh+r.randint(4,10)
        if above:
            if s.tw(lt)>maxw: return None
            w=min(maxw,r.randint(90,260)); s.text(x,y,lt); fy=y+s.lh; b=(x,fy,x+w,fy+h); tot=h+s.lh
        else:
            if s.tw(lt)>lw: return None
            w=min(maxw-lw-8,r.randint(80,240))
            if w<40: return None
            ly=y+(h-s.fs)/2-1; s.text(x if r.random()<.6 else x+lw-s.tw(lt),ly,lt); b=(x+lw+8,y,x+lw+8+w,y+h); tot=h
        s.box(b,fill=s.shade(s.win,20) if not s.dark else s.shade(s.win,-12),outline=s.shade(s.win,70 if s.dark else -80),rad=min(4,s.rad))
        val=''
        if r.random()<.4:
            v=phrase(r)
            if s.tw(v)<w-12: val=v; s.text(b[0]+5,b[1]+(h-s.fs)/2-1,v,fill=s.shade(s.fg,60 if not s.dark else -60))
        combo=r.random()<.2
        if combo:
            cx=b[2]-10; cy=(b[1]+b[3])/2; s.d.polygon([(cx-4,cy-2),(cx+4,cy-2),(cx,cy+3)],fill=s.fg)
        s.add('combo box' if combo else 'field',t,b); s.el[-1]['value']=val; return (b[2]-x),tot
    def label(s,x,y,maxw):
        r=s.r; t=phrase(r,r.choice([2,3,4])); 
        if s.tw(t)>maxw: return None
        s.text(x,y,t); return s.tw(t),s.lh
    def link(s,x,y,maxw):
        t=phrase(s.r)
        if s.tw(t)>maxw: return None
        c=(90,160,255) if s.dark else (20,80,200)
        s.text(x,y,t,fill=c)
        if s.r.random()<.6: s.d.line((x,y+s.fs+1,x+s.tw(t),y+s.fs+1),fill=c)
        s.add('link',t,(x,y,x+s.tw(t),y+s.lh)); return s.tw(t),s.lh
    def window(s,x0,y0,x1,y1):
        r=s.r
        s.box((x0,y0,x1,y1),fill=s.win,outline=s.shade(s.win,50 if s.dark else -90),rad=0)
        y=y0
        if r.random()<.75:
            th=s.lh+r.randint(4,12); tb=s.acc if r.random()<.3 else s.shade(s.win,20 if s.dark else -25)
            s.d.rectangle((x0,y0,x1,y0+th),fill=tb)
            t=phrase(r,2); c=(255,255,255) if sum(tb)<380 else (20,20,20)
            if s.tw(t)<(x1-x0)-80: s.text(x0+8 if r.random()<.5 else (x0+x1-s.tw(t))/2,y0+(th-s.fs)/2-1,t,fill=c)
            q=r.randint(4,6); cx=x1-14; cy=y0+th/2
            s.d.line((cx-q,cy-q,cx+q,cy+q),fill=c,width=2); s.d.line((cx-q,cy+q,cx+q,cy-q),fill=c,width=2); s.add('close','',(cx-9,y0,x1,y0+th))
            if r.random()<.6:
                cx-=24; s.d.rectangle((cx-q,cy-q,cx+q,cy+q),outline=c); s.add('maximize','',(cx-9,y0,cx+9,y0+th))
                cx-=24; s.d.line((cx-q,cy+q-1,cx+q,cy+q-1),fill=c,width=2); s.add('minimize','',(cx-9,y0,cx+9,y0+th))
            y+=th
        if r.random()<.4:
            x=x0+4; mh=s.lh+4
            for _ in range(r.randint(2,7)):
                t=phrase(r,1); w=s.tw(t)+r.randint(10,20)
                if x+w>x1: break
                s.text(x+6,y+2,t); s.add('menu',t,(x,y,x+w,y+mh)); x+=w
            y+=mh
        if r.random()<.25:
            x=x0+2; mh=s.lh+8; sel=r.randint(0,3)
            for i in range(r.randint(2,5)):
                t=phrase(r,1); w=s.tw(t)+r.randint(14,30)
                if x+w>x1: break
                s.box((x,y+2,x+w,y+mh),fill=s.win if i==sel else s.shade(s.win,15 if s.dark else -20),outline=s.shade(s.win,50 if s.dark else -60),rad=0)
                s.text(x+(w-s.tw(t))/2,y+5,t); s.add('tab',t,(x,y+2,x+w,y+mh)); x+=w
            y+=mh
        y+=r.randint(6,14); gap=r.randint(4,12)
        while y<y1-s.lh-10:
            k=r.choices(['buttons','checks','fields','labels','list','links','gap'],[4,3,4,2,1.5,1.5,1])[0]
            x=x0+r.randint(8,24); mw=x1-x-8; hmax=0
            if k=='gap': y+=r.randint(6,30); continue
            if k=='buttons':
                if r.random()<.3: x=x1-int(mw*r.uniform(.4,.9))
                if y+s.lh+16>y1: break
                for _ in range(r.randint(1,5)):
                    q=s.button(x,y,x1-6-x)
                    if not q: break
                    x+=q[0]+gap; hmax=max(hmax,q[1])
            elif k=='checks':
                n=r.randint(1,4); rad=r.random()<.4; horiz=r.random()<.35
                for _ in range(n):
                    if y+hmax+s.lh+2>y1: break
                    q=s.check(x,y+(0 if horiz else hmax),x1-6-x,rad)
                    if not q: continue
                    if horiz: x+=q[0]+gap+6; hmax=max(hmax,q[1])
                    else: hmax+=q[1]+2
            elif k=='fields':
                lw=r.choice([None,r.randint(60,130)])
                for _ in range(r.randint(1,4)):
                    if y+hmax+2*s.lh+12>y1: break
                    q=s.field(x,y+hmax,mw,lw)
                    if q: hmax+=q[1]+gap
            elif k=='labels':
                for _ in range(r.randint(1,3)):
                    if y+hmax+s.lh>y1: break
                    q=s.label(x,y+hmax,mw)
                    if q: hmax+=q[1]
            elif k=='links':
                for _ in range(r.randint(1,4)):
                    q=s.link(x,y,x1-6-x)
                    if not q: break
                    x+=q[0]+gap+8; hmax=max(hmax,q[1])
            elif k=='list':
                lw=min(mw,r.randint(120,300)); n=r.randint(3,8); rh=s.lh+r.randint(0,6)
                if y+n*rh>y1-4: n=int((y1-4-y)//rh)
                if n<2: break
                s.box((x,y,x+lw,y+n*rh),fill=s.shade(s.win,12),outline=s.shade(s.win,50 if s.dark else -60),rad=0)
                sel=r.randint(0,12)
                for i in range(n):
                    t=phrase(r)
                    if s.tw(t)>lw-10: continue
                    if i==sel: s.d.rectangle((x+1,y+i*rh,x+lw-1,y+(i+1)*rh),fill=s.acc)
                    s.text(x+6,y+i*rh+(rh-s.fs)/2-1,t,fill=(255,255,255) if i==sel else None); s.add('item',t,(x,y+i*rh,x+lw,y+(i+1)*rh))
                hmax=n*rh
            y+=hmax+gap
    def render(s):
        r=s.r
        if s.w<320 or r.random()<.3: s.window(r.randint(-4,10),r.randint(-4,10),s.w-r.randint(-4,10),s.h-r.randint(-4,10))
        else:
            for _ in range(r.choice([1,1,2])):
                ww=r.randint(int(s.w*.45),int(s.w*.95)); wh=r.randint(int(s.h*.45),int(s.h*.95)); x0=r.randint(0,s.w-ww); y0=r.randint(0,s.h-wh)
                # a window on top hides what is below it
                B=(x0-1,y0-1,x0+ww+1,y0+wh+1)
                hit=lambda b:not(b[2]<B[0] or b[0]>B[2] or b[3]<B[1] or b[1]>B[3])
                s.el=[e for e in s.el if not hit(e['box'])]
                s.chars=[c for c in s.chars if not (B[0]<=c[0]<=B[2] and B[1]<=c[1]<=B[3])]
                s.words=[q for q in s.words if not (q[1] and B[0]<=q[1][len(q[1])//2]<=B[2] and B[1]<=q[2]<=B[3])]
                s.window(x0,y0,x0+ww,y0+wh)
        ok=[]
        for e in s.el:
            b=e['box']; cx,cy=(b[0]+b[2])/2,(b[1]+b[3])/2
            if 2<=cx<s.w-2 and 2<=cy<s.h-2: ok.append(e)
        s.el=ok
        return s

class Page(Screen):
    """Dense text in many fonts, sizes and colours: cheap supervision for reading."""
    def render(s):
        r=s.r
        def split(x0,y0,x1,y1):
            w,h=x1-x0,y1-y0
            if (w>170 or h>130) and r.random()<.92:
                if (w>h*1.2 or h<90) and w>120:
                    m=int(x0+w*r.uniform(.35,.65)); split(x0,y0,m,y1); split(m,y0,x1,y1)
                else:
                    m=int(y0+h*r.uniform(.35,.65)); split(x0,y0,x1,m); split(x0,m,x1,y1)
                return
            s.dark=r.random()<.4; b=r.randint(15,110) if s.dark else r.randint(150,255); j=lambda v:max(0,min(255,v+r.randint(-25,25)))
            bg=(b,b,b) if r.random()<.5 else (j(b),j(b),j(b)); f=r.randint(190,255) if s.dark else r.randint(0,80); fg=(f,f,f) if r.random()<.6 else (j(f),j(f),j(f))
            if r.random()<.12: bg=r.choice([(53,132,228),(0,120,215),(38,162,105),(192,28,40),(145,65,172),(230,97,0)]); fg=(255,255,255)
            s.d.rectangle((x0,y0,x1,y1),fill=bg); s.d.fontmode='1' if r.random()<.3 else 'L'
            ft=font(r.choice(FONTS),r.choice([10,11,12,12,13,13,14,14,15,16,17,18,20])); lh=ft.size+r.randint(1,9)
            y=y0+r.randint(0,14)
            while y+ft.size<y1-1:
                x=x0+r.randint(0,20)
                while True:
                    v=r.random(); t=phrase(r) if v<.75 else str(r.randint(0,99999)) if v<.85 else ''.join(r.choice(string.ascii_letters+string.digits+string.punctuation) for _ in range(r.randint(2,8)))
                    w=s.tw(t,ft)
                    if x+w>x1-1: break
                    s.text(x,y,t,fill=fg,f=ft); x+=w+r.randint(5,30)
                y+=lh
        split(0,0,s.w,s.h); return s
def queries(s,n):
    """(instruction, think, action) for up to n distinct unambiguous elements"""
    r=s.r; from collections import Counter
    cnt=Counter((e['label'].lower()) for e in s.el if e['label']); kc=Counter(e['kind'] for e in s.el)
    els=[e for e in s.el if (e['label'] and cnt[e['label'].lower()]==1) or (not e['label'] and kc[e['kind']]==1)]
    r.shuffle(els); out=[]
    for e in els[:n]:
        k,l,b=e['kind'],e['label'],e['box']; cx,cy=(b[0]+b[2])//2,(b[1]+b[3])//2
        v=r.random()
        if not l: q=r.choice([f'{k.capitalize()} the window',f'Click the {k} button',f'{k} the window'])
        else:
            ll=l if r.random()<.7 else l.lower(); ql=f'"{ll}"' if r.random()<.3 else ll
            name={'item':r.choice(['item','row','entry']),'menu':'menu','field':r.choice(['field','text field','box','input'])}.get(k,k)
            if k in('checkbox','radio') and v<.5: q=r.choice([f'Select {ql}',f'Check {ql}',f'Tick {ql}',f'Turn on {ql}',f'Toggle {ql}'])
            elif k=='menu' and v<.4: q=r.choice([f'Open the {ql} menu',f'Open {ql}'])
            elif v<.5: q=r.choice([f'Click {ql}',f'Click on {ql}',f'Press {ql}',f'click {ql}',f'Select {ql}',f'Choose {ql}'])
            else: q=r.choice([f'Click the {ql} {name}',f'click the {ql} {name}',f'Press the {ql} {name}',f'Go to the {ql} {name}'])
        out.append((q,f'{k} "{l}"' if l else f'{k} button',f'{{"action":"click","start_point":[{cx},{cy}]}}',b))
    return out

