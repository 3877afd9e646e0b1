// Package content turns a message into the payloads of the providers.
//
// Compile checks a message once and prepares, for each language and provider,
// the bytes that are the same for everybody with the template outputs between
// them; Append then renders one recipient without allocating. It reads and
// writes nothing and knows no store, journal, clock or network. It imports
// record and the root package.
//
// # Templates
//
// Every text of a message is a template: titles, bodies, links, images, data
// values and the strings of overrides. An output is {{ name }} or
// {{ name | default: "friend" }}; a default may also be a number. The value is
// the recipient's where it is neither missing nor empty, else the default
// written in the output, else the message's default of that name, else
// nothing. Values are inserted as they are, escaped for JSON only: a value
// inside a link is not percent-encoded. All else of Liquid is refused.
//
// # Payloads
//
// APNs gets {"aps":{"alert":{title, body}, badge, sound, mutable-content where
// there is an image}, "link", "image", "data":{...}}. The collapse id, the
// priority and the time to live travel in headers.
//
// FCM gets the members of a message object: "notification" {title, body,
// image}, so that an app in the background shows it without code of its own;
// "data" with the message's data and the link under "link"; and "android"
// with priority, ttl and notification {tag, sound, notification_count}. The
// tag replaces a copy already on the screen; a collapse key is never used,
// for only four may be live for an app. The ttl is that of the whole send.
//
// Web Push gets the declarative shape, which a service worker reads as well:
// {"web_push":8030, "notification":{title, navigate, body, lang, tag, image,
// app_badge, data}}. Without a link navigate is "/".
//
// A message without any language shows nothing and carries data: a background
// push on APNs, a data message on FCM, {"data":{...}} on Web Push, which most
// browsers punish.
//
// Overrides are merged over the payload of their provider as RFC 7396 says:
// objects member by member, all else replaces, null removes. {"notification":
// null, "android": {"notification": null}} makes an FCM data message, for one.
package content
