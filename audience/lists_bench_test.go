package audience

import (
	"fmt"
	"testing"

	"github.com/tocsin-push/tocsin/record"
)

// What an entry of a list costs, in bytes and nanoseconds: of people who are known,
// and of people and subscriptions that are not.
func BenchmarkList(b *testing.B) {
	const n, part = 1 << 20, 4096
	for _, c := range []struct {
		name  string
		known bool
		entry func(u *record.ListUpdate, i int)
	}{
		{"known people", true, func(u *record.ListUpdate, i int) { u.Users = append(u.Users, fmt.Sprint("user-", i)) }},
		{"unknown people", false, func(u *record.ListUpdate, i int) { u.Users = append(u.Users, fmt.Sprint("user-", i)) }},
		{"unknown subscriptions", false, func(u *record.ListUpdate, i int) {
			id := subscription(i)
			u.Subscriptions = append(u.Subscriptions, id[:]...)
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newProject(news, 0)
			if c.known {
				for i := range n {
					p.belong(p.add(subscription(i)), UserKey(fmt.Sprint("user-", i)), true)
				}
			}
			var parts []*record.ListUpdate
			for i := 0; i < n; i += part {
				u := listChange("a", 1, ListAdd, 0).GetList()
				for j := range part {
					c.entry(u, i+j)
				}
				parts = append(parts, u)
			}
			for b.Loop() {
				p.updateList(0, listChange("a", 1, ListDelete, 0).GetList())
				p.updateList(0, listChange("a", 1, ListMake, 0).GetList())
				for _, u := range parts {
					p.updateList(0, u)
				}
			}
			b.ReportMetric(float64(p.lists.size())/n, "B/entry")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/entry")
		})
	}
}
