// The step list: a card a step, with its picture, the chosen point drawn over it, the reasoning, the
// verdict and the effect. All text comes from a model or a screen, so it enters as textContent only.

const SVG = 'http://www.w3.org/2000/svg';
const MAX_CARDS = 200;
const MAX_REASONING = 20000;

function el(name, className, text) {
  const e = document.createElement(name);
  if (className)
    e.className = className;
  if (text !== undefined)
    e.textContent = text;
  return e;
}

function svg(name, attributes) {
  const e = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes))
    e.setAttribute(key, value);
  return e;
}

// A picture's address is a path of this daemon, nothing else.
export function pictureUrl(url) {
  return typeof url === 'string' && /^\/[\w/.-]+$/.test(url) && !url.startsWith('//') ? url : null;
}

function isPoint(p) {
  return Array.isArray(p) && p.length === 2 && p.every(Number.isFinite);
}

// Screen pixels to the picture's user space: the overlay's viewBox is the screen rectangle itself,
// so the browser scales it with the picture and nothing is computed twice. `part`: what the model was
// shown, where that is not everything.
export function overlay(screen, point, end, part) {
  const size = Math.max(screen.w, screen.h);
  const ring = svg('svg', {viewBox: `${screen.x} ${screen.y} ${screen.w} ${screen.h}`,
                           class: 'overlay', preserveAspectRatio: 'none', 'aria-hidden': 'true'});
  const cross = ([x, y], kind) => {
    const g = svg('g', {class: kind, 'data-x': x, 'data-y': y});
    for (const halo of ['halo', 'ink']) {
      g.append(svg('circle', {cx: x, cy: y, r: size / 40, class: halo}));
      g.append(svg('circle', {cx: x, cy: y, r: size / 400, class: `${halo} dotmark`}));
    }
    return g;
  };
  if (part?.w > 0 && (part.w < screen.w || part.h < screen.h))
    ring.append(svg('rect', {x: part.x, y: part.y, width: part.w, height: part.h, class: 'part'}));
  if (isPoint(end)) {
    for (const halo of ['halo', 'ink'])
      ring.append(svg('line', {x1: point[0], y1: point[1], x2: end[0], y2: end[1], class: halo}));
    ring.append(cross(end, 'end'));
  }
  ring.append(cross(point, 'point'));
  return ring;
}

export class Steps {
  constructor(list, empty) {
    this.list = list;
    this.empty = empty;
    this.cards = new Map();
    this.task = null;
  }

  clear(task) {
    this.task = task;
    this.cards.clear();
    this.list.replaceChildren();
    this.empty.hidden = false;
  }

  card(params) {
    if (params.task !== this.task)
      this.clear(params.task);
    let card = this.cards.get(params.step);
    if (card)
      return card;
    card = {root: el('li', 'step'), head: el('div', 'head'), figure: el('figure', 'picture'),
            title: el('strong', 'title', 'thinking'), badge: el('span', 'badge'),
            thought: el('details', 'thought'), words: el('p', 'words'), note: el('p', 'evidence')};
    card.root.id = `step-${Number(params.step)}`;
    card.thought.append(el('summary', '', 'Reasoning'), card.words);
    card.thought.open = true;
    card.thought.hidden = card.figure.hidden = card.badge.hidden = card.note.hidden = true;
    card.head.append(el('span', 'number', String(params.step)), card.title, card.badge);
    card.root.append(card.head, card.figure, card.note, card.thought);
    this.cards.set(params.step, card);
    card.root.dataset.step = Number(params.step);
    const older = [...this.list.children].find((c) => Number(c.dataset.step) < params.step);
    this.list.insertBefore(card.root, older ?? null); // newest on top, also when recalled late
    this.empty.hidden = true;
    if (this.cards.size > MAX_CARDS) {
      const [oldest] = this.cards.keys();
      this.cards.get(oldest).root.remove();
      this.cards.delete(oldest);
    }
    return card;
  }

  see(params) {
    const card = this.card(params), url = pictureUrl(params.url);
    if (!url)
      return;
    card.screen = params.screen?.w > 0 && params.screen?.h > 0
      ? params.screen : {x: 0, y: 0, w: params.w, h: params.h};
    card.part = params.part;
    const image = el('img');
    image.alt = `The screen before step ${params.step}`;
    image.width = params.w;
    image.height = params.h;
    image.src = url;
    card.figure.replaceChildren(image);
    card.figure.hidden = false;
  }

  token(params) {
    const card = this.card(params);
    if (card.words.textContent.length > MAX_REASONING)
      return;
    card.thought.hidden = false;
    card.words.append(document.createTextNode(String(params.text)));
    card.words.scrollTop = card.words.scrollHeight;
  }

  action(params) {
    const card = this.card(params);
    card.title.textContent = String(params.describe ?? params.action?.action ?? '');
    card.text = typeof params.action?.text === 'string' ? params.action.text : '';
    card.figure.querySelector('svg')?.remove();
    if (card.screen && isPoint(params.point))
      card.figure.append(overlay(card.screen, params.point, params.end, card.part));
  }

  verdict(params) {
    if (params.verdict === 'allow')
      return;
    const card = this.card(params);
    this.badge(card, params.verdict === 'deny' ? 'denied' : 'to confirm', params.verdict);
    this.note(card, String(params.reason ?? ''));
  }

  effect(params) {
    const card = this.card(params);
    const kind = ['confirmed', 'no_effect', 'unverifiable', 'refused'].includes(params.effect)
      ? params.effect : 'unverifiable';
    const us = Number(params.timing?.total_us);
    this.badge(card, kind.replace('_', ' '), kind);
    this.note(card, String(params.evidence ?? '') + (us > 0 ? `  ${(us / 1e6).toFixed(2)} s` : ''));
    card.thought.open = false;
  }

  badge(card, text, kind) {
    card.badge.textContent = text;
    card.badge.className = `badge ${kind}`;
    card.badge.hidden = false;
  }

  note(card, text) {
    card.note.textContent = text;
    card.note.hidden = !text;
  }

  // The whole text that would be typed.
  text(params) {
    return this.cards.get(params.step)?.text ?? '';
  }

  title(params) {
    return this.cards.get(params.step)?.title.textContent ?? '';
  }
}
