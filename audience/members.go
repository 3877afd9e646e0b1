package audience

import (
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/target"
)

// rowsOf are the rows of a set that a target names; nil is nobody.
func (p *project) rowsOf(m target.Member) *index.Rows {
	if m.Field == target.List {
		if n := p.lists.named[m.Name]; n != nil {
			return n.list.rows
		}
		return nil
	}
	return p.members[m]
}
