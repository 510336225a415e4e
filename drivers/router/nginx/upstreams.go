package nginx

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/switchbackdb/switchback/agent"
	"github.com/switchbackdb/switchback/strategies"
)

// UpstreamsOptions say which NGINX follows service discovery, and how.
type UpstreamsOptions struct {
	Options               // Name is not used
	Template     string   // a file in place of the built-in template
	Applications []string // these and no others, and also before they have an instance
	Unavailable  bool     // an application that has no instance any more is answered 503; else its last ones are kept
}

// Upstreams keep an include of NGINX in which each application is an upstream with its instances. It implements
// agent.Proxy.
//
// A shift of a Router and a change of Upstreams go the same way, each with an include and a beacon of its own.
type Upstreams struct {
	include
	options UpstreamsOptions
}

var _ agent.Proxy = (*Upstreams)(nil)

// Pool is an application as the template sees it.
type Pool struct {
	Application string
	Instances   []Server // none when requests are to be answered 503
	Kept        bool     // it has no instance any more, these are its last
}

// Server is an instance as the template sees it. All of it is made of letters, digits, and ._:+/[]- only.
type Server struct {
	Key, Address, Host, Port, Version, Release, Slot string
}

// page is what the template is given.
type page struct {
	Pools       []Pool // by name
	Unavailable string // an address for a server directive that answers 503 to everything
}

//go:embed upstreams.tmpl
var builtIn string

// kindUpstreams is what the state in the folder of Upstreams says.
const kindUpstreams = "upstreams"

// defaultUpstreamsBeacon differs from that of a Router, which may be in the same NGINX.
const defaultUpstreamsBeacon = "127.0.0.1:8912"

// NewUpstreams returns them. It touches nothing yet.
func NewUpstreams(o UpstreamsOptions) (*Upstreams, error) {
	if o.Beacon == "" {
		o.Beacon = defaultUpstreamsBeacon
	}
	if err := o.complete(); err != nil {
		return nil, err
	}
	for _, name := range o.Applications {
		if err := agent.CheckName(name); err != nil {
			return nil, &OptionError{"applications", "has " + err.Error()}
		}
	}
	u := &Upstreams{include: newInclude(o.Options, kindUpstreams), options: o}
	u.first = true
	return u, nil
}

// Apply implements agent.Proxy. It returns once new connections meet nothing but what it put in force. Where that is
// in force already, NGINX is left in peace. A change that has begun is not cut off by the end of ctx.
func (u *Upstreams) Apply(ctx context.Context, applications []agent.Application) (agent.Applied, error) {
	did, err := u.apply(ctx, applications)
	if err != nil {
		return did, u.failed("update the upstreams of", err)
	}
	return did, nil
}

func (u *Upstreams) apply(ctx context.Context, applications []agent.Application) (did agent.Applied, err error) {
	lock, err := u.lock(ctx)
	if err != nil {
		return did, err
	}
	defer lock.Close()
	s, err := u.state()
	if err != nil {
		return did, err
	}
	now, err := u.look(ctx, s)
	if err != nil {
		return did, err
	}
	pools, leftOut := u.pools(applications, now.Pools)
	did.LeftOut = leftOut
	body, err := u.body(pools)
	if err != nil {
		return did, err
	}
	for _, p := range pools {
		if p.Kept || len(p.Instances) == 0 {
			did.Empty = append(did.Empty, p.Application)
		}
	}
	sum := sha256.Sum256([]byte(body + u.include.options.Beacon))
	next := generation{Pools: pools, Content: hex.EncodeToString(sum[:])}
	if s.Next == 0 && s.Current != 0 && now.Content == next.Content {
		did.Generation = s.Current
		return did, nil
	}
	if s.Next, err = u.number(s); err != nil {
		return did, err
	}
	var text string
	text, next.Mark = u.text(s.Next, body)
	// Once begun it is ended: what it would go back to has instances that are gone.
	if err := u.put(context.WithoutCancel(ctx), s, now.Number, next, text); err != nil {
		return did, err
	}
	did.Generation, did.Changed = s.Next, true
	did.Added, did.Removed = addresses(pools, now.Pools), addresses(now.Pools, pools)
	return did, nil
}

// Drain implements agent.Proxy.
func (u *Upstreams) Drain(ctx context.Context, address string) (left int, err error) {
	if err := strategies.CheckAddress(address); err != nil {
		return 0, err
	}
	return emptied(ctx, address)
}

// pools are the applications with their instances, by name; of one that has none, its last ones or nothing. A name
// that nginx.conf may use is never left away: NGINX would not start without it.
func (u *Upstreams) pools(applications []agent.Application, before []Pool) (pools []Pool, leftOut []string) {
	byName := map[string]Pool{}
	for _, name := range u.options.Applications {
		byName[name] = Pool{Application: name}
	}
	for _, p := range before {
		if u.wanted(p.Application) {
			if p.Kept = !u.options.Unavailable; !p.Kept {
				p.Instances = nil
			}
			byName[p.Application] = p
		}
	}
	for _, a := range applications {
		if !u.wanted(a.Name) {
			continue
		}
		if err := agent.CheckName(a.Name); err != nil {
			leftOut = append(leftOut, "the application "+err.Error())
			continue
		}
		p := Pool{Application: a.Name}
		for _, r := range a.Instances {
			server, err := serverOf(r)
			if err != nil {
				leftOut = append(leftOut, fmt.Sprintf("%s: %v", r.Key, err))
				continue
			}
			if !slices.ContainsFunc(p.Instances, func(s Server) bool { return s.Address == server.Address }) {
				p.Instances = append(p.Instances, server)
			}
		}
		if len(p.Instances) > 0 {
			byName[a.Name] = p
		}
	}
	for _, p := range byName {
		p.Kept = p.Kept && len(p.Instances) > 0
		pools = append(pools, p)
	}
	slices.SortFunc(pools, func(a, b Pool) int { return strings.Compare(a.Application, b.Application) })
	return pools, leftOut
}

func (u *Upstreams) wanted(application string) bool {
	return len(u.options.Applications) == 0 || slices.Contains(u.options.Applications, application)
}

// meaningful is what does not get from a registry into a template: it may mean something to NGINX.
var meaningful = regexp.MustCompile(`[^A-Za-z0-9._:+/-]`)

// longest is how much of a word from a registry gets there.
const longest = 128

func serverOf(r strategies.Registration) (Server, error) {
	if err := strategies.CheckAddress(r.Address); err != nil {
		return Server{}, err
	}
	if err := checkHost(r.Address); err != nil {
		return Server{}, err
	}
	host, port, err := net.SplitHostPort(r.Address)
	if err != nil {
		return Server{}, err
	}
	word := func(text string) string { return meaningful.ReplaceAllString(text[:min(len(text), longest)], "_") }
	return Server{
		Key: word(r.Key), Address: r.Address, Host: host, Port: port,
		Version: word(r.Version), Release: word(r.Release), Slot: word(string(r.Slot)),
	}, nil
}

// addresses are those in one list of pools that are not in another.
func addresses(of, without []Pool) (list []string) {
	has := map[string]bool{}
	for _, p := range without {
		for _, s := range p.Instances {
			has[s.Address] = true
		}
	}
	for _, p := range of {
		for _, s := range p.Instances {
			if !has[s.Address] {
				has[s.Address], list = true, append(list, s.Address)
			}
		}
	}
	return list
}

// body is what the template makes of the pools. It is read each time: one that was mended is used.
func (u *Upstreams) body(pools []Pool) (string, error) {
	name, text := "upstreams.tmpl", builtIn
	if u.options.Template != "" {
		data, err := os.ReadFile(u.options.Template)
		if err != nil {
			return "", fmt.Errorf("read the template: %w", err)
		}
		name, text = u.options.Template, string(data)
	}
	t, err := template.New(name).Option("missingkey=error").Parse(text)
	if err != nil {
		return "", fmt.Errorf("the template: %w", err)
	}
	out := &limited{}
	if err := t.Execute(out, page{Pools: pools, Unavailable: u.include.options.Beacon}); err != nil {
		return "", fmt.Errorf("the template: %w", err)
	}
	return out.String(), nil
}

// limited is a buffer that takes so much and no more: a template may go round for ever.
type limited struct{ bytes.Buffer }

const mostText = 8 << 20

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > mostText {
		return 0, errors.New("it makes too much text")
	}
	return l.Buffer.Write(p)
}

// text is the file of a generation: what the template made, and the beacon, which answers 503 to requests of clients.
func (u *Upstreams) text(number int64, body string) (text, mark string) {
	h := sha256.Sum256(fmt.Appendf(nil, "%d\n%s", number, body))
	mark = hex.EncodeToString(h[:8])
	return fmt.Sprintf(`# Generation %[1]d. switchback agent writes this file and loads no edit of it.
%[2]s
server {
    listen %[3]s;
    server_name beacon;
    access_log off;
    default_type text/plain;
    return 200 "switchback %[1]d %[4]s\n";
}
server {
    listen %[3]s default_server;
    server_name _;
    access_log off;
    default_type text/plain;
    return 503 "no instance of this application is registered\n";
}
`, number, body, u.include.options.Beacon, mark), mark
}
