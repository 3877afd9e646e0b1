package account

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/store"
)

// Project is a tenant: an app family of one client in one environment.
type Project struct {
	ID          tocsin.ProjectID
	Name        string
	Environment tocsin.Environment // never changes
	Origins     []string           // web origins that may call the device API
	Weight      int                // its share of what leaves, beside other projects: 1 to MaxWeight
	DeviceKey   string             // public: apps and sites carry it
	Created     time.Time
}

// AllowsOrigin reports whether a page of this origin, as browsers write it in
// the Origin header, may call the device API.
func (p Project) AllowsOrigin(origin string) bool { return slices.Contains(p.Origins, origin) }

// projectRow is Project as it is stored.
type projectRow struct {
	V           int                `json:"v"`
	ID          tocsin.ProjectID   `json:"id"`
	Name        string             `json:"name"`
	Environment tocsin.Environment `json:"environment"`
	Origins     []string           `json:"origins,omitempty"`
	Weight      int                `json:"weight,omitempty"` // absent is 1
	DeviceKey   string             `json:"device_key"`
	Created     time.Time          `json:"created"`
}

func (r projectRow) project() Project {
	return Project{r.ID, r.Name, r.Environment, r.Origins, max(1, r.Weight), r.DeviceKey, r.Created}
}

func projectsPlace() store.Place { return store.Place{Table: "account_projects", Partition: "all"} }

const maxOrigins = 100

// MaxWeight is the greatest weight of a project.
const MaxWeight = 100

// CreateProject makes a project with its device key, and a first API key with
// every scope, whose text is returned here and never again.
func (s *Service) CreateProject(ctx context.Context, name string, environment tocsin.Environment, origins []string) (Project, Secret, error) {
	p := Project{Name: name, Environment: environment, Weight: 1, Created: instant()}
	if environment < tocsin.Production || environment > tocsin.Development {
		return Project{}, Secret{}, invalid("environment", "want production, preproduction or development")
	}
	var err error
	if p.Origins, err = checkProject(name, origins); err != nil {
		return Project{}, Secret{}, err
	}
	if rows, err := s.store.Scan(ctx, projectsPlace(), "", "", MaxProjects); err != nil {
		return Project{}, Secret{}, err
	} else if len(rows) >= MaxProjects {
		return Project{}, Secret{}, fmt.Errorf("%w: %d projects", ErrLimit, MaxProjects)
	}
	p.ID = makeID[tocsin.ProjectID](p.Created)
	device, first := mint(devicePrefix), mint(serverPrefix)
	p.DeviceKey = device.Reveal()
	// The project's own row comes last: until it is there its keys open nothing.
	for _, each := range []struct {
		name   string
		scopes Scopes
		secret Secret
	}{{"device key", Device, device}, {"first key", AllScopes, first}} {
		if _, err := s.addKey(ctx, Key{Project: p.ID, Name: each.name, Scopes: each.scopes, Created: p.Created}, each.secret); err != nil {
			return Project{}, Secret{}, err
		}
	}
	row := projectRow{V: format, ID: p.ID, Name: p.Name, Environment: p.Environment, Origins: p.Origins, DeviceKey: p.DeviceKey, Created: p.Created}
	if err := put(ctx, s.store, projectsPlace(), p.ID.String(), nil, row, time.Time{}); err != nil {
		return Project{}, Secret{}, err
	}
	return p, first, nil
}

// Project returns a project, as it was at most Fresh ago. The caller must not
// change its Origins.
func (s *Service) Project(ctx context.Context, id tocsin.ProjectID) (Project, error) {
	now := time.Now()
	if p, ok := s.projects.get(id, now); ok {
		return p, nil
	}
	var row projectRow
	if _, err := read(ctx, s.store, projectsPlace(), id.String(), &row); err != nil {
		return Project{}, err
	}
	s.projects.put(id, row.project(), now)
	return row.project(), nil
}

// Projects lists at most limit projects (1 to 10,000) behind one, oldest first.
// A zero after starts from the first.
func (s *Service) Projects(ctx context.Context, after tocsin.ProjectID, limit int) ([]Project, error) {
	from := after.String()
	if from != "" {
		from += "\x00" // the next key
	}
	rows, err := s.store.Scan(ctx, projectsPlace(), from, "", limit)
	if err != nil {
		return nil, err
	}
	projects := make([]Project, len(rows))
	for i, row := range rows {
		var r projectRow
		if err := decode(projectsPlace(), row, &r); err != nil {
			return nil, err
		}
		projects[i] = r.project()
	}
	return projects, nil
}

// Weight is the weight of a project, as it was at most Fresh ago. Many may ask
// at once at little cost.
func (s *Service) Weight(ctx context.Context, id tocsin.ProjectID) (int, error) {
	p, err := s.Project(ctx, id)
	return p.Weight, err
}

// ProjectChange holds what is to change; nil stays as it is.
type ProjectChange struct {
	Name    *string
	Origins *[]string // the whole list
	Weight  *int
}

// UpdateProject changes what is not nil. ErrConflict says that somebody else
// changed it meanwhile.
func (s *Service) UpdateProject(ctx context.Context, id tocsin.ProjectID, c ProjectChange) (Project, error) {
	var row projectRow
	old, err := read(ctx, s.store, projectsPlace(), id.String(), &row)
	if err != nil {
		return Project{}, err
	}
	if c.Name != nil {
		row.Name = *c.Name
	}
	if c.Origins != nil {
		row.Origins = *c.Origins
	}
	if c.Weight != nil {
		if row.Weight = *c.Weight; row.Weight < 1 || row.Weight > MaxWeight {
			return Project{}, invalid("weight", "want 1 to %d", MaxWeight)
		}
	}
	if row.Origins, err = checkProject(row.Name, row.Origins); err != nil {
		return Project{}, err
	}
	defer s.projects.forget(id)
	if err := put(ctx, s.store, projectsPlace(), id.String(), old, row, time.Time{}); err != nil {
		return Project{}, err
	}
	return row.project(), nil
}

// RotateDeviceKey gives a project another device key. The ones before end: in
// this process at once, elsewhere within Fresh. After an error it may be
// repeated.
func (s *Service) RotateDeviceKey(ctx context.Context, id tocsin.ProjectID) (Project, error) {
	var row projectRow
	old, err := read(ctx, s.store, projectsPlace(), id.String(), &row)
	if err != nil {
		return Project{}, err
	}
	before, err := s.Keys(ctx, id)
	if err != nil {
		return Project{}, err
	}
	if len(before) >= MaxKeys {
		return Project{}, fmt.Errorf("%w: %d keys, revoked ones of the last 90 days included", ErrLimit, MaxKeys)
	}
	now, device := instant(), mint(devicePrefix)
	made, err := s.addKey(ctx, Key{Project: id, Name: "device key", Scopes: Device, Created: now}, device)
	if err != nil {
		return Project{}, err
	}
	row.DeviceKey = device.Reveal()
	defer s.projects.forget(id)
	if err := put(ctx, s.store, projectsPlace(), id.String(), old, row, time.Time{}); err != nil {
		return Project{}, errors.Join(err, s.RevokeKey(ctx, id, made.ID))
	}
	for _, key := range before {
		if key.Scopes != Device || !key.Live(now) {
			continue
		}
		if err := s.RevokeKey(ctx, id, key.ID); err != nil {
			return Project{}, err
		}
	}
	return row.project(), nil
}

// checkProject returns the origins as browsers write them.
func checkProject(name string, origins []string) ([]string, error) {
	if err := checkName("name", name); err != nil {
		return nil, err
	}
	if len(origins) > maxOrigins {
		return nil, invalid("origins", "want at most %d", maxOrigins)
	}
	var normal []string
	for i, origin := range origins {
		as, ok := parseOrigin(origin)
		if !ok {
			return nil, invalid(fmt.Sprintf("origins[%d]", i), "want https://host[:port]; plain http only for this machine")
		}
		normal = append(normal, as)
	}
	return normal, nil
}

// parseOrigin reads scheme, host and port (RFC 6454 section 4) and writes them
// as browsers do: lower case, without the scheme's own port. Plain http is
// allowed on loopback, where browsers count it as secure too.
func parseOrigin(text string) (string, bool) {
	u, err := url.Parse(text)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", false
	}
	host := strings.ToLower(u.Hostname())
	ip := net.ParseIP(host)
	loopback := host == "localhost" || ip != nil && ip.IsLoopback()
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback) {
		return "", false
	}
	if strings.ContainsAny(host, "*, ") || strings.HasSuffix(u.Host, ":") {
		return "", false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	port := u.Port()
	if port == "" || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return u.Scheme + "://" + host, true
	}
	return u.Scheme + "://" + host + ":" + port, true
}
