// Package browsertest lets a real browser be the judge: Firefox ESR subscribes
// with its own push manager, registers through the device API, decrypts what a
// node sends and shows it.
//
// It holds tests only, behind the build tag browser, because they need the
// program firefox-esr: go test -tags browser ./node/browsertest. Reads
// testdata, a site as a newsroom would have it; writes a temporary folder and
// loopback sockets. Nothing may import it.
package browsertest
