package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/tocsin-push/tocsin"
)

// CreateProject creates a project. It is not repeated: two would be made.
func (c *Client) CreateProject(ctx context.Context, r ProjectRequest) (p Project, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/projects", body: r, once: true}, &p)
	return p, err
}

// Projects reads a page of projects behind one, oldest first.
func (c *Client) Projects(ctx context.Context, after tocsin.ProjectID, limit int) (p Projects, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/projects", query: paging("after", after.String(), limit)}, &p)
	return p, err
}

func paging(name, from string, limit int) url.Values {
	q := url.Values{}
	if from != "" {
		q.Set(name, from)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

func projectPath(id tocsin.ProjectID) string { return "/v1/projects/" + id.String() }

// Project reads a project.
func (c *Client) Project(ctx context.Context, id tocsin.ProjectID) (p Project, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: projectPath(id)}, &p)
	return p, err
}

// UpdateProject changes name, origins or weight.
func (c *Client) UpdateProject(ctx context.Context, id tocsin.ProjectID, r ProjectUpdate) (p Project, err error) {
	err = c.do(ctx, call{method: http.MethodPatch, path: projectPath(id), body: r}, &p)
	return p, err
}

// CreateKey creates an API key. It is not repeated: two would be made.
func (c *Client) CreateKey(ctx context.Context, project tocsin.ProjectID, r KeyRequest) (k Key, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: projectPath(project) + "/keys", body: r, once: true}, &k)
	return k, err
}

// Keys lists the keys of a project.
func (c *Client) Keys(ctx context.Context, project tocsin.ProjectID) (k Keys, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: projectPath(project) + "/keys"}, &k)
	return k, err
}

// RevokeKey ends a key.
func (c *Client) RevokeKey(ctx context.Context, project tocsin.ProjectID, key tocsin.KeyID) error {
	return c.do(ctx, call{method: http.MethodDelete, path: projectPath(project) + "/keys/" + key.String()}, nil)
}

// RotateDeviceKey replaces the public key of apps and sites.
func (c *Client) RotateDeviceKey(ctx context.Context, project tocsin.ProjectID) (Project, error) {
	var p Project
	return p, c.do(ctx, call{method: http.MethodPost, path: projectPath(project) + "/device-key"}, &p)
}

// SetCredential sets or replaces the credential of one provider.
func (c *Client) SetCredential(ctx context.Context, project tocsin.ProjectID, r CredentialRequest) (out Credential, err error) {
	err = c.do(ctx, call{method: http.MethodPut, path: projectPath(project) + "/credentials", body: r}, &out)
	return out, err
}

// Credentials lists the credentials of a project, without their secrets.
func (c *Client) Credentials(ctx context.Context, project tocsin.ProjectID) (out Credentials, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: projectPath(project) + "/credentials"}, &out)
	return out, err
}

// PutSubscription registers a subscription, or changes what is set of one.
func (c *Client) PutSubscription(ctx context.Context, s Subscription) (out Registered, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/subscriptions", body: s}, &out)
	return out, err
}

// PutSubscriptions does the same for up to 10,000. Bad ones are in the result,
// not in the error.
func (c *Client) PutSubscriptions(ctx context.Context, b Batch) (out BatchResult, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/subscriptions/batch", body: b}, &out)
	return out, err
}

// Subscription reads what is known of a subscription.
func (c *Client) Subscription(ctx context.Context, id tocsin.SubscriptionID) (out Known, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/subscriptions/" + id.String()}, &out)
	return out, err
}

// DeleteSubscription deletes a subscription.
func (c *Client) DeleteSubscription(ctx context.Context, id tocsin.SubscriptionID) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/subscriptions/" + id.String()}, nil)
}

// Identify gives a subscription to a user, with all that is known of it.
func (c *Client) Identify(ctx context.Context, id tocsin.SubscriptionID, user string) error {
	return c.do(ctx, call{method: http.MethodPut, path: "/v1/subscriptions/" + id.String() + "/user", body: Identity{user}}, nil)
}

// LogOut makes a subscription anonymous again.
func (c *Client) LogOut(ctx context.Context, id tocsin.SubscriptionID) error {
	return c.do(ctx, call{method: http.MethodDelete, path: "/v1/subscriptions/" + id.String() + "/user"}, nil)
}

// UpdateProfile sets attributes and tags of a person, on every device.
func (c *Client) UpdateProfile(ctx context.Context, user string, r ProfileUpdate) error {
	return c.do(ctx, call{method: http.MethodPatch, path: "/v1/profiles/" + url.PathEscape(user), body: r}, nil)
}

// Send asks for a send. The key may be empty: then one is drawn, so that a
// repetition after a lost answer makes no second send.
func (c *Client) Send(ctx context.Context, r SendRequest, key string) (s Send, err error) {
	if key == "" {
		key = newKey()
	}
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/sends", body: r, header: http.Header{"Idempotency-Key": {key}}}, &s)
	return s, err
}

// DryRun checks a request and tells what is to be expected of it. Nothing is sent.
func (c *Client) DryRun(ctx context.Context, r SendRequest) (s Send, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/sends", query: url.Values{"dry_run": {"true"}}, body: r}, &s)
	return s, err
}

// Sends reads a page of sends older than one, newest first.
func (c *Client) Sends(ctx context.Context, before tocsin.SendID, limit int) (s Sends, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/sends", query: paging("before", before.String(), limit)}, &s)
	return s, err
}

// GetSend reads a send with its counters.
func (c *Client) GetSend(ctx context.Context, id tocsin.SendID) (s Send, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/sends/" + id.String()}, &s)
	return s, err
}

// Cancel stops what has not left yet.
func (c *Client) Cancel(ctx context.Context, id tocsin.SendID) (s Send, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/sends/" + id.String() + "/cancel"}, &s)
	return s, err
}

// Steer changes the rate of a send, pauses or resumes it.
func (c *Client) Steer(ctx context.Context, id tocsin.SendID, u SendUpdate) (s Send, err error) {
	err = c.do(ctx, call{method: http.MethodPatch, path: "/v1/sends/" + id.String(), body: u}, &s)
	return s, err
}

// Trace tells what became of one subscription in one send.
func (c *Client) Trace(ctx context.Context, id tocsin.SendID, subscription tocsin.SubscriptionID) (t Trace, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/sends/" + id.String() + "/trace/" + subscription.String()}, &t)
	return t, err
}

// Outcomes yields how every push of a send ended, once all have; only those of
// one outcome, 0 for all. An error is the last: what came before is not all.
func (c *Client) Outcomes(ctx context.Context, id tocsin.SendID, only tocsin.Outcome) iter.Seq2[RecipientOutcome, error] {
	return func(yield func(RecipientOutcome, error) bool) {
		query := url.Values{}
		if only != 0 {
			query.Set("outcome", only.String())
		}
		response, err := c.open(ctx, http.MethodGet, "/v1/sends/"+id.String()+"/outcomes", query, http.Header{}, nil)
		if err != nil {
			yield(RecipientOutcome{}, err)
			return
		}
		defer response.Body.Close()
		for d := json.NewDecoder(response.Body); ; {
			var one RecipientOutcome
			err := d.Decode(&one)
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				err = fmt.Errorf("client: outcomes: %w", err)
			}
			if !yield(one, err) || err != nil {
				return
			}
		}
	}
}

// WatchSend yields a send whenever its counters change, until it has ended.
func (c *Client) WatchSend(ctx context.Context, id tocsin.SendID) iter.Seq2[Send, error] {
	return watch[Send](ctx, c, "/v1/sends/"+id.String()+"/events")
}

// Count answers how many subscriptions a target has.
func (c *Client) Count(ctx context.Context, t Target) (out Count, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/targets/count", body: CountRequest{t}}, &out)
	return out, err
}

// Stats tells where the memory of a node goes. It needs a key of the platform.
func (c *Client) Stats(ctx context.Context) (out Stats, err error) {
	err = c.do(ctx, call{method: http.MethodGet, path: "/v1/stats"}, &out)
	return out, err
}

// Preview reads a few of a target's recipients.
func (c *Client) Preview(ctx context.Context, r PreviewRequest) (out Preview, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/targets/preview", body: r}, &out)
	return out, err
}

// RegisterDevice registers an install with the device key. It is not repeated:
// two would be made.
func (c *Client) RegisterDevice(ctx context.Context, s Subscription) (d Device, err error) {
	err = c.do(ctx, call{method: http.MethodPost, path: "/v1/device/subscriptions", body: s, once: true}, &d)
	return d, err
}

func devicePath(d Device) string { return "/v1/device/subscriptions/" + d.ID.String() }

func installed(d Device) http.Header { return http.Header{"Tocsin-Install": {d.Secret}} }

// RefreshDevice tells that an install is alive, and what has changed.
func (c *Client) RefreshDevice(ctx context.Context, d Device, s Subscription) error {
	return c.do(ctx, call{method: http.MethodPut, path: devicePath(d), header: installed(d), body: s}, nil)
}

// OptDevice opts an install in or out.
func (c *Client) OptDevice(ctx context.Context, d Device, in bool) error {
	return c.do(ctx, call{method: http.MethodPut, path: devicePath(d) + "/opted-in", header: installed(d), body: OptIn{in}}, nil)
}

// IdentifyDevice tells who has logged in on an install.
func (c *Client) IdentifyDevice(ctx context.Context, d Device, user string) error {
	return c.do(ctx, call{method: http.MethodPut, path: devicePath(d) + "/user", header: installed(d), body: Identity{user}}, nil)
}

// LogOutDevice tells that nobody is logged in on an install any more.
func (c *Client) LogOutDevice(ctx context.Context, d Device) error {
	return c.do(ctx, call{method: http.MethodDelete, path: devicePath(d) + "/user", header: installed(d)}, nil)
}

// DeleteDevice forgets an install.
func (c *Client) DeleteDevice(ctx context.Context, d Device) error {
	return c.do(ctx, call{method: http.MethodDelete, path: devicePath(d), header: installed(d)}, nil)
}
