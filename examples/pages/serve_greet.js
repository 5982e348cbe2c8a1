import { library, origin } from './hub.js';

/** Older calls go from the page. */
const CALLS_MAX = 100;

const [state, greeting, example, calls] = ['state', 'greeting', 'try', 'calls'].map((id) => document.getElementById(id));

example.textContent = `curl -d '{"name":"Ann"}' ${origin}/call/greet\nswitchboard call greet '{"name":"Ann"}'`;

const show = (text, className = '') => {
  const line = document.createElement('li');
  line.textContent = text;
  line.className = className;
  calls.prepend(line);
  if (calls.childElementCount > CALLS_MAX) calls.lastElementChild.remove();
};

/** What it returns is the answer, and what it throws an error, to whoever calls. */
const greet = (asked, call) => {
  const name = asked?.name;
  if (typeof name != 'string' || !name) throw new Error('say whom: {"name":"Ann"}');
  show(`${name}, by ${call.from?.account ?? 'somebody'} through ${call.from?.door ?? 'some door'}`);
  return { greeting: `${greeting.value}, ${name}!` };
};

const serve = async () => {
  const gotalk = await library();
  const sock = gotalk.connection().on('state', (now) => (state.textContent = now));
  // Asked for again by itself whenever the connection comes back. `caller`: we want to be told who calls.
  await sock.hub.serve({ greet }, { caller: true });
  show('greet is served', 'quiet');
};

serve().catch((error) => show(error.message, 'error'));
