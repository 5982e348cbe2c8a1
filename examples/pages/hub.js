/**
 * The hub, or whatever else speaks gotalk: `hub.json` says where it is, `/` for the server that this page came from.
 *
 * The library is loaded from there, since it connects to where it came from. A page that comes from its hub itself needs
 * nothing of this file, only `<script src="/gotalk/gotalk.js"></script>`.
 */

const { hub } = await (await fetch('hub.json')).json();

/** Its address: `http://127.0.0.1:4780`. */
export const origin = new URL(hub, location.href).origin;

/** Loads the library, and returns it. */
export const library = () =>
  new Promise((resolve, reject) => {
    const script = document.createElement('script');
    script.src = `${origin}/gotalk/gotalk.js`;
    script.onload = () => resolve(globalThis.gotalk);
    script.onerror = () => reject(new Error(`there is no hub at ${origin}: start it, then load this page again`));
    document.head.append(script);
  });
