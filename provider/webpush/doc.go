// Package webpush sends to browsers through their push services: RFC 8030
// (requests), RFC 8188 and 8291 (encryption) and RFC 8292 (VAPID).
//
// Every message has a key pair and a salt of its own. The key exchange is
// nearly all that a message costs, and it needs neither the text nor the time
// of the message: so it is done ahead. The provider learns whom it may expect
// from the batches that it sends; Prepare, which runs while no push is under
// way, makes the secret of the next message for those (stock, prepare). A secret
// is taken once, is found under the keys of the subscription alone, and leaves
// place for the next one. What it has none for, a first message or one right
// after another, is paid for as it goes.
//
// Batches are encrypted ahead of the connections' writers by a bounded number of
// workers that take the lanes in turns (encrypter), so that a writer only
// copies, and providers with cheap pushes do not wait for the key exchanges of
// this one.
//
// Endpoints come from strangers, so that nothing but https, port 443 and public
// addresses is ever contacted, apart from origins that an admin listed on the
// credential, and no redirect is followed. Origins that are neither listed nor
// those of known push services share a few connections, a quarter of the
// workers' turns, and nothing of the stock (strangers).
//
// Reads and writes sockets through bulk; imports bulk, provider and the root
// package, and no other provider.
package webpush
