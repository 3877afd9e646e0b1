package plan

import (
	"testing"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/record"
)

// A provider that answers "later" to some pushes of every page leaves very many
// single retries of one send: each claim looks at those of its page.
func TestScatteredRetriesStayCheap(t *testing.T) {
	m := New(Default(8), 0, 1)
	id := tocsin.SendID{1}
	const pages, each = 2000, 50
	claim := func(page, at uint32) *record.Claim {
		return &record.Claim{Send: id.Bytes(), Page: page, From: at * 20, To: at*20 + 1, Attempt: 2}
	}
	for page := range uint32(pages) {
		for at := range uint32(each) {
			m.retries.add(&retry{send: id, due: time.Unix(1, 0), name: name{page: page, from: at * 20, to: at*20 + 1, attempt: 2}})
		}
	}
	began := time.Now()
	for page := range uint32(pages) {
		for at := range uint32(each) {
			m.used(claim(page, at))
		}
	}
	if _, left := m.Waiting(); left != 0 {
		t.Errorf("%d retries left", left)
	}
	// Looking through all of them at each claim takes minutes.
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("%d claims took %v", pages*each, took)
	}
}
