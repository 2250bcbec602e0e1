// One handle on a time axis: a deadline that is dragged and, let go, starts a real run; or the moment of a replay.
// No network, no library. Streamlit calls this again whenever data or theme change, so what must survive is kept on root.
export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector('.lab');
  const find = (name) => root.querySelector('.' + name);
  const state = (root.mvit ??= { frame: 0, parts: {} });
  const { exits, plain, reach, step } = data;
  const least = 0.1;
  const last = exits[exits.length - 1].ms;
  const replays = data.deadline === null;
  const handle = find('handle');
  const axis = find('axis');

  for (const [name, html] of Object.entries(data.parts)) {
    if (state.parts[name] !== html) find(name).innerHTML = state.parts[name] = html;
  }
  const timed = [...root.querySelectorAll('[data-ms]')].map((part) => [part, Number(part.dataset.ms)]);
  const now = find('now');
  const done = find('done');
  const share = (ms) => (100 * Math.min(Math.max(ms, 0), reach)) / reach + '%';
  const write = (part, text) => { if (part.textContent !== text) part.textContent = text; };

  function show(ms) {
    state.ms = ms;
    const ended = replays && ms >= last && data.finding;
    const answer = (ended && exits[data.settled]) || exits.findLast((exit) => exit.ms <= ms);
    const over = ms >= plain;
    const waits = 'no answer yet';
    for (const [part, at] of timed) part.classList.toggle('off', at > ms);
    now.setAttribute('x1', share(ms));
    now.setAttribute('x2', share(ms));
    done.setAttribute('width', share(Math.min(ms, plain)));
    handle.style.left = share(ms);
    write(find('answer'), answer ? answer.answer + (data.unknown && !answer.unsure ? '?' : '') : waits);
    write(find('how'), answer ? answer.how : `first exit ready after ${exits[0].ms.toFixed(1)} ms`);
    write(find('plain-answer'), over ? exits[exits.length - 1].answer : waits);
    find('with').classList.toggle('waits', !answer);
    find('without').classList.toggle('waits', !over);
    const said = answer ? answer.said : waits;
    const other = over ? `the plain network answered at ${plain.toFixed(1)} ms` : `the plain network needs ${plain.toFixed(1)} ms`;
    write(find('finding'), ended || `${replays ? 'At' : 'Replay at'} ${ms.toFixed(1)} ms: ${said}; ${other}`);
    const edge = ms > reach ? 'beyond this axis, ' : '';
    handle.setAttribute('aria-valuenow', Math.min(ms, reach).toFixed(1));
    handle.setAttribute('aria-valuetext', `${ms.toFixed(1)} milliseconds, ${edge}with exits: ${said}; plain network: ${over ? 'answered' : waits}`);
    root.dataset.lit = timed.filter(([part, at]) => part.classList.contains('lamp') && at <= ms).length;
    root.dataset.state = !replays ? 'done' : ms < last ? 'playing' : 'done';
  }

  function tick() {
    const ms = Math.max(0, (performance.now() - state.start) / data.slower);
    show(Math.min(ms, reach));
    if (ms < Math.max(last, plain)) state.frame = requestAnimationFrame(tick);
  }

  function play() {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    cancelAnimationFrame(state.frame);
    state.start = still ? -Infinity : performance.now();
    tick();
  }

  function move(ms) {
    cancelAnimationFrame(state.frame);
    state.moved = true;
    show(Math.min(Math.max(Math.round(ms / step) * step, least), reach));
  }

  function release() {
    if (!state.moved) return;
    state.moved = false;
    if (replays) return;
    state.asked = Number(state.ms.toFixed(3));
    write(find('real'), `Stopping a real run at ${state.asked.toFixed(1)} ms …`);
    write(find('plain-real'), '');
    root.dataset.real = 'running';
    setTriggerValue('release', state.asked);
  }

  function moment(event) {
    const box = axis.getBoundingClientRect();
    return (reach * (event.clientX - box.left)) / box.width;
  }

  axis.onpointerdown = (event) => {
    if (data.fixed || event.button > 0 || event.target.closest('.play')) return;
    state.from = state.ms;
    axis.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    if (handle.contains(event.target)) state.moved = true;
    else move(moment(event));
    event.preventDefault();
  };
  axis.onpointermove = (event) => { if (state.from !== undefined) move(moment(event)); };
  axis.onpointerup = () => { state.from = undefined; release(); };
  axis.onpointercancel = () => { // the finger scrolls the page instead
    if (state.from !== undefined) show(state.from);
    state.from = undefined;
    state.moved = false;
  };
  handle.onkeydown = (event) => {
    const far = event.shiftKey ? 10 : 1;
    const steps = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, PageDown: -10, PageUp: 10 }[event.key];
    if (event.key === 'Enter' || event.key === ' ') state.moved = true;
    const to = { Home: least, End: reach }[event.key] ?? (steps && Math.min(state.ms, reach) + steps * step);
    if (data.fixed || to === undefined) return;
    event.preventDefault();
    move(to);
  };
  handle.onkeyup = release;
  handle.onblur = () => { if (state.from === undefined) release(); };
  handle.setAttribute('aria-valuemin', least.toFixed(1));
  handle.setAttribute('aria-valuemax', reach.toFixed(1));
  handle.setAttribute('aria-label', replays ? 'Moment of the replay' : 'Deadline');
  handle.setAttribute('aria-disabled', Boolean(data.fixed));
  find('play').hidden = !replays;
  find('play').onclick = play;

  write(find('unknown'), data.unknown);
  const version = `${data.run} ${data.slower}`;
  const fresh = state.version !== version;
  state.version = version;
  if (replays) {
    if (fresh) play();
    else show(state.ms);
  } else {
    if (state.asked === data.deadline || fresh) state.asked = undefined;
    if (state.asked === undefined) {
      write(find('real'), data.real[0]);
      write(find('plain-real'), data.real[1]);
    }
    const busy = state.asked !== undefined || state.from !== undefined || state.moved;
    show(busy && !fresh ? state.ms : data.deadline);
    root.dataset.real = state.asked === undefined ? 'done' : 'running';
  }
  return () => cancelAnimationFrame(state.frame);
}
