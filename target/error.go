package target

// Error says where a query is wrong, what stands there and what may stand
// there. Path starts with "query", as in query.$and[1].country.$in[3].
type Error struct {
	Path    string
	Found   string
	Allowed string
}

func (e *Error) Error() string { return e.Path + ": found " + e.Found + ", want " + e.Allowed }
