import { library } from './hub.js';

const [state, ask, message, answer] = ['state', 'ask', 'message', 'answer'].map((id) => document.getElementById(id));

const show = (text, isError) => {
  answer.textContent = text;
  answer.classList.toggle('error', isError);
};

const connect = async () => {
  const gotalk = await library();
  // Comes back by itself when it is lost; what is called meanwhile waits.
  const sock = gotalk.connection().on('state', (now) => (state.textContent = now));
  ask.addEventListener('submit', async (event) => {
    event.preventDefault();
    try {
      show(await sock.request('echo', message.value, { timeout: 10_000 }), false);
    } catch (error) {
      show(error.message, true);
    }
  });
};

connect().catch((error) => show(error.message, true));
