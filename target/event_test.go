package target

import (
	"reflect"
	"strings"
	"testing"
)

func TestEventsPrintAsTheyAreRead(t *testing.T) {
	for query, want := range map[string]string{
		`{"event":{"name":"bought"}}`:                                       `{"event":{"name":"bought"}}`,
		`{"event":{"within":"2w","name":"bought","count":3}}`:               `{"event":{"name":"bought","count":{"$eq":3},"within":{"$gte":"now-14d"}}}`,
		`{"event":{"name":"bought","where":{"currency":"EUR"}}}`:            `{"event":{"name":"bought","where":{"currency":{"$eq":"EUR"}}}}`,
		`{"event":{"name":"a","last":{"$gte":"now-7d","$lt":"now"}},"b":1}`: `{"$and":[{"event":{"name":"a","last":{"$gte":"now-7d","$lt":"now"}}},{"b":{"$eq":1}}]}`,
		`{"event":{"name":"a","where":{"v":{"$ne":"1","$version":{"$gte":"1","$lt":"2"},"$exists":true},"w":{"$in":[1,"x"]}},"count":{"$between":[0,10000]}}}`: "",
		`{"event":{"name":"a","first":{"$between":["2026-11-01T00:00:00Z","now-1h"]},"within":{"$gt":"now-30d","$lte":"now-1d"}}}`:                             "",
		`{"$not":{"event":{"name":"a","where":{"at":{"$gt":"now-1d"},"n":{"$lt":2.5e+00}}}}}`:                                                                  "",
	} {
		if want == "" {
			want = query
		}
		q, err := Parse(Default(), []byte(query))
		if err != nil || q.String() != want {
			t.Errorf("%s: %v, %v\nwant %s", query, q, err, want)
			continue
		}
		if again, err := Parse(Default(), []byte(want)); err != nil || !reflect.DeepEqual(q, again) {
			t.Errorf("%s does not read back as it was: %v", want, err)
		}
	}
	q, err := Parse(Default(), []byte(`{"$or":[{"event":{"name":"b","where":{"x":1}}},{"$not":{"event":{"name":"a"}}}],"x":1}`))
	if err != nil || !reflect.DeepEqual(q.Events(), []string{"a", "b"}) || !reflect.DeepEqual(q.Names(), []string{"x"}) {
		t.Error(q.Events(), q.Names(), err)
	}
}

func TestWrongEventsAreRefusedWithThePath(t *testing.T) {
	limits := Default()
	limits.Events = 2
	for _, c := range []struct{ query, want string }{
		{`{"event":"bought"}`, `query.event: found "bought", want an object of "name"`},
		{`{"event":{}}`, `query.event: found an object without "name"`},
		{`{"event":{"name":"Bought"}}`, `query.event.name: found "Bought"`},
		{`{"event":{"name":["a"]}}`, `query.event.name: found an array`},
		{`{"event":{"name":"a","witin":"3d"}}`, `query.event.witin: found "witin"`},
		{`{"event":{"name":"a","witin":"3d"}}`, `did you mean within?`},
		{`{"event":{"name":"a","count":{"$in":[1]}}}`, `query.event.count.$in: found "$in" on count, want one of $eq, $gt`},
		{`{"event":{"name":"a","count":-1}}`, `query.event.count: found -1, want a whole number from 0 to 10000`},
		{`{"event":{"name":"a","count":{"$gte":10001}}}`, `query.event.count.$gte: found 10001`},
		{`{"event":{"name":"a","count":{"$gte":2.5}}}`, `query.event.count.$gte: found 2.5`},
		{`{"event":{"name":"a","count":{"$between":[3,2]}}}`, `the greatest before the least`},
		{`{"event":{"name":"a","last":"now-7d"}}`, `query.event.last: found "now-7d", want an object of $gt`},
		{`{"event":{"name":"a","last":{"$gte":"today"}}}`, `query.event.last.$gte: found "today", want a time, as in "2026-11-23T08:00:00Z" or "now-30d"`},
		{`{"event":{"name":"a","first":{"$gte":7}}}`, `query.event.first.$gte: found 7, want a time`},
		{`{"event":{"name":"a","within":30}}`, `query.event.within: found 30, want a length of time`},
		{`{"event":{"name":"a","within":"1y"}}`, `query.event.within: found "1y"`},
		{`{"event":{"name":"a","within":{"$eq":"now"}}}`, `query.event.within.$eq: found "$eq" on within`},
		{`{"event":{"name":"a","where":{}}}`, `query.event.where: found an empty object`},
		{`{"event":{"name":"a","where":{"X":1}}}`, `query.event.where.X: found "X", want the name of a field`},
		{`{"event":{"name":"a","where":{"x":{"$near":{"lat":1,"lon":1,"km":1}}}}}`, `query.event.where.x.$near: found "$near" on x`},
		{`{"event":{"name":"a","where":{"x":{"$gt":"today"}}}}`, `query.event.where.x.$gt: found "today", want a number, or a time`},
		{`{"event":{"name":"a","where":{"x":{"$version":{"$gt":"today"}}}}}`, `query.event.where.x.$version.$gt: found "today", want a version`},
		{`{"event":{"name":"a","where":{"x":1,"x":2}}}`, `"x" twice`},
		{`{"$and":[{"event":{"name":"a"}},{"event":{"name":"a"}},{"event":{"name":"a"}}]}`, `query.$and[2].event: found one event more, want at most 2`},
	} {
		if _, err := Parse(limits, []byte(c.query)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.query, err, c.want)
		}
	}
}
