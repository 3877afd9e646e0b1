// Package apns sends through the Apple Push Notification service with provider
// tokens (providers' protocol over HTTP/2, one request a push).
//
// It turns batches into requests for bulk, signs one token a key, and maps
// every answer of the service to one result. Reads and writes sockets through
// bulk; imports bulk, provider and the root package, and no other provider.
package apns
