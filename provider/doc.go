// Package provider is the contract between fanout and the services that reach
// phones and browsers. It holds no provider.
//
// fanout fills a Batch, hands it to the Lane of its route, and gets it back
// with one Result for each push. Providers live in provider/apns,
// provider/fcm and provider/webpush.
//
// Reads nothing, writes nothing. Imports the root package only; must never
// import a provider, or whoever hands batches over.
package provider
