// Package webpush sends to browsers through their push services: RFC 8030
// (requests), RFC 8188 and 8291 (encryption) and RFC 8292 (VAPID).
//
// Every message is encrypted with a key pair of its own. Endpoints come from
// strangers, so that nothing but https, port 443 and public addresses is ever
// contacted, apart from origins that an admin listed on the credential. Reads
// and writes sockets through bulk; imports bulk, provider and the root package,
// and no other provider.
package webpush
