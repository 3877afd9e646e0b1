package api

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/target"
)

// sets refuses a query that names a list that is not there, or a send of which
// nobody knows who got it.
func (s *Server) sets(ctx context.Context, project tocsin.ProjectID, q *target.Query) error {
	named := q.Named()
	var lists []string // once they are asked for
	for _, m := range slices.SortedFunc(maps.Keys(named), target.Member.Compare) {
		found, allowed := strconv.Quote(m.Name), ""
		switch m.Field {
		case target.List:
			if lists == nil {
				var err error
				if lists, err = s.listNames(ctx, project); err != nil {
					return err
				}
			}
			if slices.Contains(lists, m.Name) {
				continue
			}
			allowed = "the name of a list that there is"
			if meant, ok := target.Nearest(m.Name, lists); ok {
				allowed += "; did you mean " + meant + "?"
			}
		case target.Sent, target.Opened:
			var id tocsin.SendID
			if err := id.UnmarshalText([]byte(m.Name)); err != nil {
				return err
			}
			row, err := s.listed(ctx, project, id)
			if err != nil && !isNotFound(err) {
				return err
			}
			kept := s.Kept
			if err == nil && !s.Now().After(fromNanos(row.Due).Add(kept)) {
				continue
			}
			allowed = "a send of this project"
			if err == nil {
				found += ", due on " + fromNanos(row.Due).Format(time.DateOnly)
				allowed = fmt.Sprintf("one of the last %d days: who got or opened what is kept for so long", int(kept/(24*time.Hour)))
			}
		default:
			continue
		}
		return &target.Error{Path: named[m], Found: found, Allowed: allowed}
	}
	return nil
}
