// Package account keeps projects, API keys and provider credentials.
//
// It reads and writes six tables of the store, and the key file that seals
// credentials. It must never import a room above it, a provider's own package
// or another room of its level.
//
// # Tables
//
//	account_platform     one partition, "platform": the mark of the key file, the first key
//	account_projects     one partition, "all": a row a project
//	account_keys         a partition a project, "platform" for keys without one: a row a key
//	account_key_lookup   a partition a key hash: where that key is kept
//	account_credentials  a partition a project: a row a provider
//	account_news         one partition, "credentials": a row for each that was set within the hour
//
// What another process changed is in force here after Fresh: keys, projects and
// credentials are read again, and Watch tells of credentials that were replaced.
//
// Every partition is bounded: MaxProjects, MaxKeys, one row a hash, three
// providers. The two caps are looked at before a row is written and not
// together with it, so that requests at the same instant may exceed them by
// their number. Revoked and expired keys stay listed for KeyMemory.
//
// # Secrets
//
// Of a key only the SHA-256 is kept: its 160 random bits leave nothing to
// guess. Credentials are sealed with AES-256-GCM under the key file, bound to
// project, credential, version and provider: a row that was changed or moved
// elsewhere does not open. An older row put back in its own place does; only
// the store's own integrity stands against that. In clear a credential exists
// in memory alone. Without the key file the credentials are lost: keep a copy
// of it, apart from the copies of the store.
package account
