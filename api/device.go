package api

import (
	"context"
	"net/http"
	"reflect"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tocsin-push/tocsin"
	"github.com/tocsin-push/tocsin/account"
	"github.com/tocsin-push/tocsin/audience"
	"github.com/tocsin-push/tocsin/catalogue"
	"github.com/tocsin-push/tocsin/client"
	"github.com/tocsin-push/tocsin/provider/webpush"
	"github.com/tocsin-push/tocsin/record"
)

// installHeader carries the secret of one install.
const installHeader = "Tocsin-Install"

// devicePrefix is the part of the API that pages of other origins may call.
const devicePrefix = "/v1/device/"

// deviceBody bounds what one install says of itself: whoever reads the public
// key can register very many.
const deviceBody = 16 << 10

func (s *Server) deviceRoutes() {
	need := access{scope: account.Device}
	one := s.document(reflect.TypeFor[client.Subscription]())
	const path = "/v1/device/subscriptions/{subscription}"
	route(s, operation{id: "register-device", method: http.MethodPost, path: "/v1/device/subscriptions", tag: "Device", raw: one, limit: deviceBody,
		summary: "Register this install; the answer holds its secret, once", status: http.StatusCreated, need: need}, s.registerDevice)
	route(s, operation{id: "refresh-device", method: http.MethodPut, path: path, tag: "Device", raw: one, limit: deviceBody,
		summary: "Tell that this install is alive, and what has changed", need: need}, s.refreshDevice)
	route(s, operation{id: "opt-device", method: http.MethodPut, path: path + "/opted-in", tag: "Device",
		summary: "Opt in or out", status: http.StatusNoContent, need: need}, s.optDevice)
	route(s, operation{id: "delete-device", method: http.MethodDelete, path: path, tag: "Device",
		summary: "Forget this install", status: http.StatusNoContent, need: need}, s.deleteDevice)
}

// preflight answers browsers that ask whether a page may call. It shows no
// key, so that any origin may ask; the call itself is held against the
// project's list.
func (s *Server) preflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin := r.Header.Get("Origin"); origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Methods", "POST, PUT, DELETE")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, "+installHeader)
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
}

// admitOrigin lets a page through only when the project lists its origin. Apps
// send none.
func (s *Server) admitOrigin(ctx context.Context, w http.ResponseWriter, r *http.Request, project tocsin.ProjectID) error {
	origin := r.Header.Get("Origin")
	if origin == "" || !strings.HasPrefix(r.URL.Path, devicePrefix) {
		return nil
	}
	p, err := s.Accounts.Project(ctx, project)
	if err != nil {
		return err
	}
	if !p.AllowsOrigin(origin) {
		return fail(http.StatusForbidden, "origin", "the project does not list this web origin")
	}
	w.Header().Add("Vary", "Origin")
	w.Header().Set("Access-Control-Allow-Origin", origin)
	return nil
}

func (s *Server) registerDevice(ctx context.Context, in *rawInput) (*body[client.Device], error) {
	project, now := caller(ctx).Project, s.Now()
	reader, err := s.intake(ctx, project)
	if err != nil {
		return nil, err
	}
	// An install has an identifier and a secret of its own: who knows its
	// address must not come to speak for it.
	id, err := newID[tocsin.SubscriptionID](s.Random, now)
	if err != nil {
		return nil, err
	}
	reader.install = id
	u, err := reader.subscription(in.kept.all)
	if err != nil {
		return nil, fieldProblem(err)
	}
	if len(u.Address) == 0 {
		return nil, invalid("provider", "give the address: provider with token, or with endpoint, p256dh and auth")
	}
	secret, hash := account.MintInstallSecret()
	u.Secret, u.Active = hash, now.UnixNano()
	var ignored []string
	if err := s.register(ctx, u, func(at tocsin.Shard) (edition uint64, err error) {
		ignored, edition, err = s.admitDevice(ctx, at, reader, u)
		return edition, err
	}); err != nil {
		return nil, err
	}
	return &body[client.Device]{client.Device{ID: id, Secret: secret.Reveal(), Ignored: ignored}}, nil
}

// admitDevice holds what an install says of itself against what anybody may
// bring who has read the public key. Names that the project does not use are
// taken out of the change and told, and so are values of another type: an app in
// the field must not lose its registration over one that its server does not know
// yet. Hosts that only a
// pattern allows leave half of the room to the others.
func (s *Server) admitDevice(ctx context.Context, at tocsin.Shard, reader *intake, u *record.Upsert) (ignored []string, edition uint64, err error) {
	names := s.naming(ctx, catalogue.Device)
	if len(u.Attributes)+len(u.Tags) > 0 {
		known, err := names.known(ctx)
		if err != nil {
			return nil, 0, err
		}
		u.Attributes = slices.DeleteFunc(u.Attributes, func(a *record.Attribute) bool {
			stands, t := known.Find(catalogue.Attribute, a.Name), catalogue.TypeOf(a)
			switch {
			case stands == nil:
				ignored = append(ignored, "attributes."+a.Name)
			case t != catalogue.Untyped && t != stands.Type:
				conflict := conflictOf(a, stands)
				ignored = append(ignored, conflict.field+": "+conflict.reason)
			default:
				return false
			}
			return true
		})
		u.Tags = slices.DeleteFunc(u.Tags, func(t *record.TagSet) bool {
			unknown := known.Find(catalogue.TagSet, t.Name) == nil
			if unknown {
				ignored = append(ignored, "tags."+t.Name)
			}
			return unknown
		})
	}
	most := audience.MaxRoutes
	if _, oneOfMany := webpush.Known(u.Host); oneOfMany && !reader.origins[u.Host] {
		most /= 2
	}
	err = s.fitUpsert(ctx, names, at, u, audience.NewAdmitted(), most)
	return ignored, names.edition(), about(err)
}

// Install is a request about one install by itself.
type Install struct {
	SubscriptionPath
	Secret string `header:"Tocsin-Install" maxLength:"100" doc:"Secret that the registration gave"`
}

// own finds the install and checks its secret. A wrong secret and an unknown
// install look alike.
func (s *Server) own(ctx context.Context, in *Install) (profile string, at tocsin.Shard, err error) {
	found, at, err := s.live(ctx, caller(ctx).Project, in.Subscription)
	if err != nil {
		return "", 0, err
	}
	if !account.VerifyInstallSecret(in.Secret, found.Secret) {
		return "", 0, notFound("subscription")
	}
	return found.Profile, at, nil
}

type refreshInput struct {
	Install
	kept *keptBody
}

// Resolve takes the body that guard left.
func (in *refreshInput) Resolve(ctx huma.Context) []error {
	in.kept = kept(ctx)
	return nil
}

func (s *Server) refreshDevice(ctx context.Context, in *refreshInput) (*body[client.Registered], error) {
	profile, _, err := s.own(ctx, &in.Install)
	if err != nil {
		return nil, err
	}
	reader, err := s.intake(ctx, caller(ctx).Project)
	if err != nil {
		return nil, err
	}
	reader.install = in.Subscription
	u, err := reader.subscription(in.kept.all)
	if err != nil {
		return nil, fieldProblem(err)
	}
	if userOf(u.Profile) != "" && u.Profile != profile {
		return nil, invalid("user", "an install does not change hands by a refresh; tell who has logged in")
	}
	u.Profile, u.Active = profile, s.Now().UnixNano()
	var ignored []string
	err = s.register(ctx, u, func(at tocsin.Shard) (edition uint64, err error) {
		ignored, edition, err = s.admitDevice(ctx, at, reader, u)
		return edition, err
	})
	return &body[client.Registered]{client.Registered{ID: in.Subscription, Ignored: ignored}}, err
}

func (s *Server) optDevice(ctx context.Context, in *struct {
	Install
	Body client.OptIn
}) (*empty, error) {
	_, at, err := s.own(ctx, &in.Install)
	if err != nil {
		return nil, err
	}
	return nil, s.tell(ctx, in.Subscription, at, &record.Change{Change: &record.Change_OptIn{OptIn: &record.OptIn{
		Subscription: in.Subscription.Bytes(), OptedIn: in.Body.OptedIn}}})
}

func (s *Server) deleteDevice(ctx context.Context, in *Install) (*empty, error) {
	_, at, err := s.own(ctx, in)
	if err != nil {
		return nil, err
	}
	return nil, s.tell(ctx, in.Subscription, at, &record.Change{Change: &record.Change_Delete{Delete: &record.Delete{Subscription: in.Subscription.Bytes()}}})
}

// kept is the body that guard read into memory.
func kept(ctx huma.Context) *keptBody {
	r, _ := humago.Unwrap(ctx)
	if k, ok := r.Body.(*keptBody); ok {
		return k
	}
	return &keptBody{}
}
