package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"sort"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/ask"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/index"
	"github.com/tocsin-push/tocsin/record"
)

type SubscriptionPath struct {
	Subscription tocsin.SubscriptionID `path:"subscription"`
}

func (s *Server) subscriptionRoutes() {
	write, read := access{scope: account.Audience}, access{scope: account.Read}
	one := s.document(reflect.TypeFor[client.Subscription]())
	many := s.document(reflect.TypeFor[client.Batch]())
	route(s, operation{id: "put-subscription", method: http.MethodPost, path: "/v1/subscriptions", tag: "Subscriptions", raw: one,
		summary: "Register a subscription, or change what is set of one", need: write}, s.putSubscription)
	route(s, operation{id: "put-subscriptions", method: http.MethodPost, path: "/v1/subscriptions/batch", tag: "Subscriptions", raw: many, limit: s.Batch,
		summary: "Register or change up to 10,000; bad ones are listed, the others are taken", need: write}, s.putBatch)
	route(s, operation{id: "get-subscription", method: http.MethodGet, path: "/v1/subscriptions/{subscription}", tag: "Subscriptions",
		summary: "What is known of a subscription, but for its address", need: read}, s.getSubscription)
	route(s, operation{id: "delete-subscription", method: http.MethodDelete, path: "/v1/subscriptions/{subscription}", tag: "Subscriptions",
		summary: "Delete a subscription", status: http.StatusNoContent, need: write}, s.deleteSubscription)
	route(s, operation{id: "export-profile", method: http.MethodGet, path: "/v1/profiles/{user}/export", tag: "Profiles",
		summary: "All that is known of a person, addresses included", need: access{scope: account.Audience}}, s.exportProfile)
	route(s, operation{id: "update-profile", method: http.MethodPatch, path: "/v1/profiles/{user}", tag: "Profiles",
		summary: "Set attributes and tags of a person, on every device", status: http.StatusNoContent, need: write}, s.updateProfile)
}

// document describes a body that is read by hand.
func (s *Server) document(t reflect.Type) map[string]*huma.MediaType {
	return map[string]*huma.MediaType{"application/json": {Schema: s.api.OpenAPI().Components.Schemas.Schema(t, true, "")}}
}

// rawInput is a body that guard has checked and that is read by hand.
type rawInput struct{ kept *keptBody }

// Resolve takes the body that guard left.
func (in *rawInput) Resolve(ctx huma.Context) []error {
	in.kept = kept(ctx)
	return nil
}

// intake prepares to read subscriptions of a project.
func (s *Server) intake(ctx context.Context, project tocsin.ProjectID) (*intake, error) {
	credentials, err := s.Accounts.Credentials(ctx, project)
	if err != nil {
		return nil, err
	}
	return newIntake(project, credentials), nil
}

// about makes a reader's error a 422, and leaves others as they are.
func about(err error) error {
	if errors.As(err, new(*fieldError)) {
		return fieldProblem(err)
	}
	return err
}

// fieldProblem makes a reader's error a 422 about a field.
func fieldProblem(err error) error {
	field, reason := fieldOf(err)
	return invalid(field, reason)
}

func fieldOf(err error) (field, reason string) {
	var at *fieldError
	if errors.As(err, &at) {
		return at.field, at.reason
	}
	return "", err.Error()
}

func (s *Server) putSubscription(ctx context.Context, in *rawInput) (*body[client.Registered], error) {
	project := caller(ctx).Project
	reader, err := s.intake(ctx, project)
	if err != nil {
		return nil, err
	}
	u, err := reader.subscription(in.kept.all)
	if err != nil {
		return nil, fieldProblem(err)
	}
	names := s.naming(ctx, catalogue.Server)
	if err := s.register(ctx, u, func(at tocsin.Shard) (uint64, error) {
		err = about(s.fitUpsert(ctx, names, at, u, audience.NewAdmitted(), audience.MaxRoutes))
		return names.edition(), err // known only now
	}); err != nil {
		return nil, err
	}
	ids, err := s.standing(ctx, project, u)
	if err != nil {
		return nil, err
	}
	return &body[client.Registered]{client.Registered{ID: ids[0]}}, nil
}

// register makes one change of a subscription durable, once it fits where it
// goes, and returns when it is on the shard of its profile.
func (s *Server) register(ctx context.Context, u *record.Upsert, fits func(at tocsin.Shard) (edition uint64, err error)) error {
	place := s.placing(caller(ctx).Project)
	at, err := place.place(ctx, u)
	var edition uint64
	if err == nil {
		edition, err = fits(at.Shard)
	}
	if err == nil {
		err = s.changeNamed(ctx, at.Shard, place.at, edition, at.Changes(u)...)
	}
	if err == nil && at.Move != nil {
		err = s.moved(ctx, place.project, tocsin.SubscriptionID(at.Move.Subscription))
	}
	return err
}

// fitUpsert refuses a subscription whose names or values do not fit its project,
// or that would be left out as its route is one more than most.
func (s *Server) fitUpsert(ctx context.Context, n *naming, at tocsin.Shard, u *record.Upsert, admitted *audience.Admitted, most int) error {
	if ok, err := admitted.Admit(ctx, s.Ask[at], n.project, u, most); err != nil || !ok {
		return cmp.Or(err, errRoutes())
	}
	if err := n.admit(ctx, u.Attributes, u.Tags); err != nil {
		return err
	}
	return s.fitWeight(ctx, n.project, at, u)
}

// fitWeight refuses values that are too many for one person, or subscription.
func (s *Server) fitWeight(ctx context.Context, project tocsin.ProjectID, at tocsin.Shard, u *record.Upsert) error {
	if !audience.Weighs(u.Attributes, u.Tags) {
		return nil
	}
	bytes, err := s.Ask[at].Weights(ctx, project, []*record.Upsert{u})
	if err != nil {
		return err
	}
	return s.fitsIn(bytes[0], u)
}

// fitsIn refuses a change that would leave so many bytes.
func (s *Server) fitsIn(bytes int, u *record.Upsert) error {
	if bytes > s.Profile {
		field := "attributes"
		if len(u.Attributes) == 0 {
			field = "tags"
		}
		return wrong(field, "%d bytes of values and tags would come together, %d are the most", bytes, s.Profile)
	}
	return nil
}

func errRoutes() error {
	return wrong("endpoint", "the project's subscriptions use %d push services and topics already", audience.MaxRoutes)
}

// change appends changes to one shard and returns once they are durable.
func (s *Server) change(ctx context.Context, shard tocsin.Shard, changes ...*record.Change) error {
	return s.changeNamed(ctx, shard, s.Now(), 0, changes...)
}

// changeNamed is change for those that hold attributes or tags, whose names were
// let pass in an edition, and that were placed for an instant.
func (s *Server) changeNamed(ctx context.Context, shard tocsin.Shard, at time.Time, edition uint64, changes ...*record.Change) error {
	e := &record.Envelope{Body: &record.Envelope_Changes{Changes: &record.Changes{Changes: changes, Names: edition}}}
	return s.changes[shard].append(ctx, e, at, scope(ctx, 0))
}

func (s *Server) putBatch(ctx context.Context, in *rawInput) (*body[client.BatchResult], error) {
	var request struct {
		Subscriptions []json.RawMessage `json:"subscriptions"`
	}
	if err := strict(in.kept.all, &request); err != nil {
		return nil, err
	}
	switch n := len(request.Subscriptions); {
	case n == 0:
		return nil, invalid("subscriptions", "want at least one")
	case n > maxBatch:
		return nil, invalid("subscriptions", "more than 10,000")
	}
	project := caller(ctx).Project
	reader, err := s.intake(ctx, project)
	if err != nil {
		return nil, err
	}
	var out client.BatchResult
	names, place, taken := s.naming(ctx, catalogue.Server), s.placing(project), make([]*record.Upsert, len(request.Subscriptions))
	set := newBundle(project, s.Shards, place.at)
	changes, wrongs, sought := make([]*record.Upsert, len(taken)), make([]error, len(taken)), make([]*record.Upsert, 0, len(taken))
	for i, line := range request.Subscriptions {
		changes[i], wrongs[i] = reader.subscription(line)
		if about := new(fieldError); wrongs[i] == nil {
			sought = append(sought, changes[i])
		} else if !errors.As(wrongs[i], &about) { // it is no object, or too deep
			wrongs[i] = wrong("", "%v", wrongs[i])
		}
	}
	if err := place.seek(ctx, sought...); err != nil {
		return nil, err
	}
	admitted := make([]*audience.Admitted, s.Shards)
	for i := range admitted {
		admitted[i] = audience.NewAdmitted()
	}
	for i, u := range changes {
		var at audience.Placed
		err := wrongs[i]
		if err == nil {
			at, err = place.place(ctx, u)
		}
		if err == nil {
			err = s.fitUpsert(ctx, names, at.Shard, u, admitted[at.Shard], audience.MaxRoutes)
		}
		if err == nil {
			taken[i] = u
			out.Accepted++
			set.add(u, at, names.edition())
			place.placed(u, at)
			continue
		}
		one, ok := aboutOne(err)
		if !ok {
			return nil, err
		}
		out.Errors = append(out.Errors, client.BatchError{Index: i, Field: one.field, Reason: one.reason})
	}
	set.send(ctx, s, scope(ctx, 0))
	if err := set.wait(ctx); err != nil {
		return nil, err
	}
	if err := s.moved(ctx, project, set.moves...); err != nil {
		return nil, err
	}
	out.IDs, err = s.standing(ctx, project, taken...)
	return &body[client.BatchResult]{out}, err
}

// maxBatch is the greatest number of subscriptions of a batch.
const maxBatch = 10_000

// strict decodes a small wrapper whose names must be known.
func strict(data []byte, into any) error {
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return fail(http.StatusUnprocessableEntity, "invalid", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

func (s *Server) getSubscription(ctx context.Context, in *SubscriptionPath) (*body[client.Known], error) {
	found, _, err := s.live(ctx, caller(ctx).Project, in.Subscription)
	if err != nil {
		return nil, err
	}
	return &body[client.Known]{known(found)}, nil
}

func known(found ask.Subscription) client.Known {
	out := client.Known{ID: found.ID, User: userOf(found.Profile), Provider: found.Route.Provider, Topic: found.Route.Topic,
		Platform: found.Platform, Language: found.Language, Zone: found.Zone, Region: found.Region, City: found.City, AppVersion: found.AppVersion, Active: found.Active, OptedIn: found.OptedIn, Tags: found.Tags,
		Attributes: valuesOf(found.Attributes)}
	for _, tags := range out.Tags {
		sort.Strings(tags)
	}
	return out
}

func valuesOf(attributes map[string]index.Value) map[string]client.Value {
	values := make(map[string]client.Value, len(attributes))
	for name, v := range attributes {
		values[name] = valueOf(v)
	}
	return values
}

func userOf(profile string) string {
	user, _ := strings.CutPrefix(profile, audience.UserKey(""))
	if user == profile {
		return ""
	}
	return user
}

func valueOf(v index.Value) client.Value {
	switch v.Kind {
	case index.Integer:
		return client.IntegerValue(v.Bits)
	case index.Real:
		return client.FloatValue(v.Real())
	case index.Flag:
		return client.BooleanValue(v.Bits != 0)
	case index.Time:
		return client.TimeValue(fromNanos(v.Bits))
	case index.URL:
		return client.URLValue(v.Text)
	case index.Location:
		return client.LocationValue(v.Place())
	}
	return client.TextValue(v.Text)
}

func (s *Server) deleteSubscription(ctx context.Context, in *SubscriptionPath) (*empty, error) {
	_, at, err := s.live(ctx, caller(ctx).Project, in.Subscription)
	if err != nil {
		return nil, err
	}
	return nil, s.tell(ctx, in.Subscription, at, &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: in.Subscription.Bytes()}}})
}

func (s *Server) updateProfile(ctx context.Context, in *struct {
	User string `path:"user" minLength:"1" maxLength:"256"`
	Body client.ProfileUpdate
}) (*empty, error) {
	if !utf8.ValidString(in.User) { // a path holds any bytes, a record does not
		return nil, invalid("path.user", "not valid UTF-8")
	}
	update := &record.ProfileUpdate{Profile: audience.UserKey(in.User)}
	if len(in.Body.Attributes) > maxAttributes {
		return nil, invalid("attributes", "more than 100")
	}
	if len(in.Body.Tags) > maxTagSets {
		return nil, invalid("tags", "more than 50 sets")
	}
	for name, v := range in.Body.Attributes {
		a, err := attribute(name, v)
		if err != nil {
			return nil, invalid("attributes."+name, err.Error())
		}
		update.Attributes = append(update.Attributes, a)
	}
	for name, t := range in.Body.Tags {
		set := &record.TagSet{Name: name, Replace: t.Replace, Add: t.Add, Remove: t.Remove, Clear: t.Replace != nil}
		if err := checkTags(set); err != nil {
			return nil, invalid("tags."+name, err.Error())
		}
		update.Tags = append(update.Tags, set)
	}
	project := caller(ctx).Project
	shard := tocsin.ShardOf(project, update.Profile, s.Shards)
	names := s.naming(ctx, catalogue.Server)
	err := names.admit(ctx, update.Attributes, update.Tags)
	if err == nil {
		err = s.fitWeight(ctx, project, shard, &record.Upsert{Profile: update.Profile, Attributes: update.Attributes, Tags: update.Tags})
	}
	if err != nil {
		return nil, about(err)
	}
	return nil, s.changeNamed(ctx, shard, s.Now(), names.edition(), &record.Change{Change: &record.Change_Profile{Profile: update}})
}
