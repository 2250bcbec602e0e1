// Switches the lamps on at the measured times, `slower` times slower. No network, no library.
// Streamlit calls this again whenever data or theme change, so what must survive a call is kept on the root element.
export default function (component) {
  const { data, parentElement } = component;
  const root = parentElement.querySelector('.lab');
  const stage = root.querySelector('.stage');
  const clock = root.querySelector('output');
  const state = (root.mvit ??= { frame: 0, start: 0 });
  const last = Math.max(...data.times);

  function show(ms) {
    let lit = 0;
    stage.querySelectorAll('.lamp').forEach((lamp) => {
      const on = Number(lamp.dataset.ms) <= ms;
      lamp.classList.toggle('off', !on);
      if (on) lit += 1;
    });
    root.dataset.lit = lit;
    root.dataset.state = ms < last ? 'playing' : 'done';
    clock.textContent = Math.min(ms, last).toFixed(1) + ' of ' + last.toFixed(1) + ' ms';
  }

  function tick() {
    const ms = Math.max(0, (performance.now() - state.start) / data.slower);
    show(ms);
    if (ms < last) state.frame = requestAnimationFrame(tick);
  }

  function play() {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    state.start = still ? -Infinity : performance.now();
    cancelAnimationFrame(state.frame);
    tick();
  }

  root.querySelector('button').onclick = play;
  if (state.html !== data.html) stage.innerHTML = state.html = data.html;
  const version = data.run + ' ' + data.slower;
  cancelAnimationFrame(state.frame);
  if (state.version === version) tick();
  else play();
  state.version = version;
  return () => cancelAnimationFrame(state.frame);
}
