package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"

	"github.com/tocsin-push/tocsin"
)

// audience is the people of one project: the same ones for the same fields.
type audience struct {
	provider tocsin.Provider
	project  int // different addresses
	size     int

	// cohorts are sizes in rising order. The attribute cohort of a person
	// names the smallest that he belongs to, so that each is a target.
	cohorts []int
}

// address is the n-th person's device token or registration token.
func (a *audience) address(n int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "device %d of project %d", n, a.project))
	if a.provider == tocsin.FCM { // its tokens have about 160 characters
		more := sha256.Sum256(sum[:])
		text := base64.RawURLEncoding.EncodeToString(append(append(append([]byte(nil), sum[:]...), more[:]...), sum[:]...))
		return text[:22] + ":APA91b" + text[22:] + text[:7]
	}
	return hex.EncodeToString(sum[:])
}

func user(n int) string { return "reader-" + strconv.Itoa(n) }

func cohortName(size int) string { return "first-" + strconv.Itoa(size) }

// cohort is the name of the smallest cohort with person n in it.
func (a *audience) cohort(n int) string {
	for _, size := range a.cohorts {
		if n < size {
			return cohortName(size)
		}
	}
	return "rest"
}

// target is a query for the first people, a cohort or everybody.
func (a *audience) target(size int) string {
	if size == a.size {
		return `{}`
	}
	text := ""
	for _, c := range a.cohorts {
		if c <= size {
			text += `,"` + cohortName(c) + `"`
		}
	}
	return `{"cohort":{"$in":[` + text[1:] + `]}}`
}

// write writes one subscription a line, each with three attributes.
func (a *audience) write(w io.Writer) error {
	countries := [...]string{"FR", "FR", "FR", "BE", "CH", "CA", "SN", "MA"}
	out := bufio.NewWriterSize(w, 1<<20)
	for n := range a.size {
		b := append(out.AvailableBuffer(), `{"user":"reader-`...)
		b = append(strconv.AppendInt(b, int64(n), 10), `","provider":"`...)
		b = append(append(b, a.provider.String()...), `","token":"`...)
		b = append(append(b, a.address(n)...), `","language":"en","attributes":{"first_name":"Reader`...)
		b = append(strconv.AppendInt(b, int64(n%5000), 10), `","country":"`...)
		b = append(append(b, countries[n%len(countries)]...), `","cohort":"`...)
		b = append(append(b, a.cohort(n)...), "\"}}\n"...)
		if _, err := out.Write(b); err != nil {
			return err
		}
	}
	return out.Flush()
}
