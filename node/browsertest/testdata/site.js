// A site whose readers may subscribe to its news.
'use strict';

let told = () => {}; // called when the worker tells of a push
const failures = [];

navigator.serviceWorker.addEventListener('message', event => {
  console.log('worker:', JSON.stringify(event.data));
  if (event.data.failed) failures.push(event.data.failed);
  told();
});
navigator.serviceWorker.startMessages();

async function device(method, api, path, key, secret, body) {
  const headers = {Authorization: `Bearer ${key}`, 'Content-Type': 'application/json'};
  if (secret) headers['Tocsin-Install'] = secret;
  const answer = await fetch(`${api}/v1/device/subscriptions${path}`, {method, headers, body: JSON.stringify(body)});
  if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${await answer.text()}`);
  return answer.status === 204 ? null : answer.json();
}

const site = {
  // subscribe gives what PushManager makes: endpoint and keys.
  async subscribe(applicationServerKey) {
    await navigator.serviceWorker.register('worker.js');
    const registration = await navigator.serviceWorker.ready;
    return registration.pushManager.subscribe({userVisibleOnly: true, applicationServerKey});
  },

  async unsubscribe() {
    const registration = await navigator.serviceWorker.ready;
    return (await registration.pushManager.getSubscription()).unsubscribe();
  },

  register: (api, key, subscription) => device('POST', api, '', key, '', subscription),
  opt: (api, key, id, secret, opted_in) => device('PUT', api, `/${id}/opted-in`, key, secret, {opted_in}),

  // shown waits for a notification of this title and gives all that are shown.
  async shown(title) {
    const registration = await navigator.serviceWorker.ready;
    for (;;) {
      const next = new Promise(resolve => { told = resolve; });
      const all = await registration.getNotifications();
      if (all.some(n => n.title === title)) {
        return all.map(({title, body, lang, tag, data}) => ({title, body, lang, tag, data}));
      }
      if (failures.length > 0) throw new Error(failures.join('; '));
      await next;
    }
  },
};
