// Package fcm sends through Firebase Cloud Messaging's HTTP v1 API, one request
// a push, with OAuth 2.0 access tokens of a service account.
//
// It turns batches into requests for bulk, keeps one access token a lane, and
// maps every answer to one result. Reads and writes sockets through bulk, and
// through net/http for the token endpoint; imports bulk, provider and the root
// package, and no other provider.
package fcm
