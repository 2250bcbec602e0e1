// A picture with a map over it: a region says its number, a dragged rectangle how many are in it. No network, no library.
// Streamlit calls this again whenever data or theme change, so what must survive (rectangle, strength) is kept on root.
const REGIONS = [12, 8]; // of the longer and of the shorter side
const LEAST = 0.02; // a drag shorter than this share of the picture is a tap

export default function ({ data, parentElement }) {
  const root = parentElement.querySelector('.where');
  const find = (name) => root.querySelector('.' + name);
  const state = (root.mvit ??= { box: null, from: null });
  const { people, rows, columns } = data;
  const across = columns > rows ? REGIONS[0] : REGIONS[1];
  const down = columns > rows ? REGIONS[1] : REGIONS[0];
  const picture = find('picture');
  const slider = find('strength');
  const said = find('said');
  slider.parentElement.style.display = data.bare ? 'none' : '';

  if (state.picture !== data.picture) Object.assign(state, { picture: data.picture, box: null });
  find('photo').src = data.photo;
  find('photo').alt = data.alt;
  find('map').src = data.map;
  picture.style.aspectRatio = `${columns} / ${rows}`;
  root.classList.toggle('upright', rows > columns);

  // how much of each of `number` equal parts of 0..1 lies between two shares
  const covered = (number, low, high) => Array.from({ length: number }, (_, i) =>
    Math.max(0, Math.min((i + 1) / number, high) - Math.max(i / number, low)) * number);

  function inside([left, top, right, bottom]) {
    const x = covered(columns, left, right);
    const y = covered(rows, top, bottom);
    let sum = 0;
    for (let r = 0; r < rows; r += 1) {
      if (y[r]) for (let c = 0; c < columns; c += 1) sum += y[r] * x[c] * people[r * columns + c];
    }
    return sum;
  }

  const text = (number) => (number < 9.95 ? number.toFixed(1).replace('.0', '') : String(Math.round(number)));

  function place(part, box) {
    part.hidden = !box;
    if (!box) return;
    const [left, top, right, bottom] = box.map((v) => 100 * v);
    Object.assign(part.style, { left: left + '%', top: top + '%', width: right - left + '%', height: bottom - top + '%' });
  }

  function show(region) {
    const box = region ?? state.box;
    place(find('region'), region);
    place(find('box'), state.box);
    find('clear').hidden = !state.box;
    const what = region ? 'In this region' : 'In the rectangle';
    const now = box ? `${what}: ${text(inside(box))} of ${data.total}` : data.hint;
    if (said.textContent !== now) said.textContent = now;
  }

  function at(event) {
    const box = picture.getBoundingClientRect();
    const share = (v, low, size) => Math.min(Math.max((v - low) / size, 0), 1);
    return [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)];
  }

  function regionAt([x, y]) {
    const i = Math.min(Math.floor(x * across), across - 1);
    const j = Math.min(Math.floor(y * down), down - 1);
    return [i / across, j / down, (i + 1) / across, (j + 1) / down];
  }

  const spanned = ([a, b], [c, d]) => [Math.min(a, c), Math.min(b, d), Math.max(a, c), Math.max(b, d)];

  picture.onpointerdown = (event) => {
    if (event.button) return;
    state.from = at(event);
    picture.setPointerCapture?.(event.pointerId);
  };
  picture.onpointermove = (event) => {
    const here = at(event);
    const box = state.from && spanned(state.from, here);
    if (box && Math.max(box[2] - box[0], box[3] - box[1]) > LEAST) {
      state.box = box;
      show();
    } else if (!state.from && event.pointerType === 'mouse') show(regionAt(here));
  };
  picture.onpointerup = (event) => {
    const from = state.from;
    state.from = null;
    if (!from) return;
    const box = spanned(from, at(event));
    if (Math.max(box[2] - box[0], box[3] - box[1]) > LEAST) show();
    else show(regionAt(from));
  };
  picture.onpointercancel = () => { state.from = null; };
  picture.onpointerleave = (event) => { if (!state.from && event.pointerType === 'mouse') show(); };
  find('clear').onclick = () => { state.box = null; show(); };

  function strength() {
    root.style.setProperty('--strength', slider.value / 100);
  }
  slider.oninput = strength;
  strength();
  if (state.given !== String(data.box)) { // the numbers below the picture were changed
    if (data.box || state.given !== undefined) state.box = data.box;
    state.given = String(data.box);
  }
  show();
}
