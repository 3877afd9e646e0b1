package sim

import (
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
)

// Accounts sums the ledger up by provider, for one send or, with "", for all.
func (l *Ledger) Accounts(send string) map[tocsin.Provider]*Account {
	type sums struct {
		*Account
		answers     [600]int
		unanswered  int
		first, last int64
	}
	found := make(map[tocsin.Provider]*sums)
	wanted := Hash(send)
	l.Each(func(r *Record) {
		if send != "" && r.Send != wanted {
			return
		}
		a := found[r.Provider]
		if a == nil {
			a = &sums{Account: &Account{Answers: make(map[string]int)}, first: r.At, last: r.At}
			found[r.Provider] = a
		}
		a.Received++
		a.first, a.last = min(a.first, r.At), max(a.last, r.At)
		if r.Fault.unanswered() {
			a.unanswered++
		} else {
			a.answers[r.Status]++
		}
		if r.Accepted() {
			a.Accepted++
			a.Tokens = append(a.Tokens, r.Token)
		}
	})
	accounts := make(map[tocsin.Provider]*Account, len(found))
	for provider, a := range found {
		for status, n := range a.answers {
			if n > 0 {
				a.Answers[strconv.Itoa(status)] = n
			}
		}
		if a.unanswered > 0 {
			a.Answers["none"] = a.unanswered
		}
		slices.Sort(a.Tokens)
		a.Distinct, a.Repeated = distinct(a.Tokens)
		first, last := time.Unix(0, a.first).UTC(), time.Unix(0, a.last).UTC()
		a.First, a.Last = &first, &last
		accounts[provider] = a.Account
	}
	return accounts
}

// distinct counts the different values of a sorted list, and those that repeat.
func distinct(sorted []uint64) (different, repeated int) {
	for i := 0; i < len(sorted); {
		n := i + 1
		for n < len(sorted) && sorted[n] == sorted[i] {
			n++
		}
		different++
		if n > i+1 {
			repeated++
		}
		i = n
	}
	return different, repeated
}
