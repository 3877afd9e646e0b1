// Shows pushes in the declarative form of the Push API, in browsers that do
// not show them by themselves.
'use strict';

self.addEventListener('push', event => event.waitUntil(show(event.data)));

async function show(data) {
  try {
    const push = data.json();
    if (push.web_push !== 8030) throw new Error(`web_push is ${push.web_push}`);
    const {title, navigate, data: extra, ...options} = push.notification;
    await self.registration.showNotification(title, {...options, data: {...extra, navigate}});
    await tell({shown: title});
  } catch (error) {
    await tell({failed: String(error)});
  }
}

async function tell(message) {
  for (const page of await self.clients.matchAll({includeUncontrolled: true})) page.postMessage(message);
}

self.addEventListener('notificationclick', event => {
  event.notification.close();
  event.waitUntil(self.clients.openWindow(event.notification.data.navigate));
});
