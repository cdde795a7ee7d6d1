// The dashboard: notifications in, requests out. It keeps no state of its own beyond what it shows;
// the daemon sends `state` to every client that connects, so a reload loses nothing that matters.

import {Rpc} from './rpc.js';
import {Steps} from './steps.js';

const $ = (id) => document.getElementById(id);
const LIVE_MS = 500, NOTICE_MS = 8000;
const BUSY = ['running', 'paused', 'approval'];

const steps = new Steps($('steps'), $('nosteps'));
let connected = false, state = 'idle', screen = null, question = null, noticeTimer = 0;

function notice(text, level = 'error') {
  $('notice').textContent = String(text);
  $('notice').className = `notice ${['info', 'warn', 'error'].includes(level) ? level : 'error'}`;
  $('notice').hidden = false;
  clearTimeout(noticeTimer);
  noticeTimer = setTimeout(() => { $('notice').hidden = true; }, NOTICE_MS);
}

function ask(method, params) {
  return rpc.call(method, params).catch((e) => notice(`${method}: ${e.message}`));
}

function show() {
  const busy = BUSY.includes(state), shown = connected ? state : 'disconnected';
  $('state').textContent = {needs_user: 'needs you', approval: 'asks for approval'}[shown] ?? shown;
  $('dot').className = `dot ${/^\w+$/.test(shown) ? shown : ''}`;
  $('go').disabled = $('goal').disabled = !connected || busy;
  $('stop').disabled = !connected || !busy;
  $('pause').disabled = !connected || !busy || state === 'approval';
  $('pause').textContent = state === 'paused' ? 'Resume' : 'Pause';
  $('approval').hidden = !question || !connected;
}

function onState(params) {
  state = String(params.state);
  if (state !== 'approval' && state !== 'running')
    question = null;
  $('reason').textContent = String(params.reason ?? '');
  $('reason').hidden = !params.reason;
  if (BUSY.includes(state) && params.goal)
    $('goal').value = String(params.goal);
  if (params.task > 0 && params.task !== steps.task)
    recall(params.task);
  show();
}

// Steps that were taken before this page was opened.
async function recall(task) {
  steps.clear(task);
  const old = await rpc.call('task', {task}).catch(() => null); // after status: replies keep order
  if (!old || !Array.isArray(old.steps) || steps.task !== task)
    return;
  for (const s of old.steps) {
    if (steps.cards.has(s.step))
      continue;
    const one = {...s, task};
    const seen = s.screen ?? screen; // tasks of earlier versions do not say
    if (seen)
      steps.see({...one, url: `/task/${task}/${s.step}-before.png`, w: seen.w, h: seen.h,
                 screen: seen});
    if (s.why)
      steps.token({...one, text: s.why});
    steps.action(one);
    steps.effect(one);
  }
}

function onVerdict(params) {
  steps.verdict(params);
  if (params.verdict !== 'confirm')
    return;
  question = {task: params.task, step: params.step, hash: params.hash};
  $('approvalwhat').textContent = steps.title(params);
  $('approvaltext').textContent = steps.text(params);
  $('approvaltext').hidden = !steps.text(params);
  $('approvalwindow').textContent = params.window_title || params.window_class
    ? `in the window “${params.window_title ?? ''}” (${params.window_class ?? ''})` : 'in no window';
  $('approvalwhy').textContent = String(params.reason ?? '');
  $('approvalhash').textContent = String(params.hash).slice(0, 16);
  show();
  $('deny').focus();
}

const notes = {
  state: onState,
  see: (p) => steps.see(p),
  token: (p) => steps.token(p),
  action: (p) => steps.action(p),
  verdict: onVerdict,
  effect: (p) => { question = null; steps.effect(p); show(); },
  notice: (p) => notice(p.text, p.level),
};

const rpc = new Rpc({
  onNote: (method, params) => Object.hasOwn(notes, method) && notes[method](params),
  onConnection: (up) => {
    connected = up;
    if (up)
      rpc.call('status').then((s) => {
        screen = s.screen?.w > 0 ? s.screen : null;
        $('about').textContent = [s.model?.name, s.screen && `${s.screen.w} × ${s.screen.h}`,
          s.display, s.version && `v${s.version}`].filter(Boolean).join(' · ');
      }).catch((e) => notice(e.message));
    show();
    live();
  },
});

// The live picture: the next is asked for when the last has come, and only while someone looks.
let loading = false;
function live() {
  if (loading || !connected || document.hidden)
    return;
  loading = true;
  const next = new Image();
  const done = (ok) => {
    loading = false;
    $('live').hidden = !ok;
    $('nolive').hidden = ok;
    if (ok)
      $('live').src = next.src;
    setTimeout(live, ok ? LIVE_MS : LIVE_MS * 4);
  };
  next.addEventListener('load', () => done(true));
  next.addEventListener('error', () => done(false));
  next.src = `/live.jpg?t=${Date.now()}`;
}
document.addEventListener('visibilitychange', live);

function answer(method) {
  if (question)
    ask(method, question);
  question = null;
  show();
}

$('start').addEventListener('submit', (e) => {
  e.preventDefault();
  const goal = $('goal').value.trim();
  if (goal && !$('go').disabled)
    ask('start', {goal});
});
$('pause').addEventListener('click', () => ask(state === 'paused' ? 'resume' : 'pause'));
$('stop').addEventListener('click', () => ask('stop', {reason: 'stopped from the dashboard'}));
$('approve').addEventListener('click', () => answer('approve'));
$('deny').addEventListener('click', () => answer('deny'));
document.addEventListener('keydown', (e) => {
  if (e.key === 'Escape' && question)
    answer('deny');
});
show();
