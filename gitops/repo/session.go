package repo

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"

	fluxgit "github.com/fluxcd/pkg/git"
	"github.com/fluxcd/pkg/ssh/knownhosts"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/plumbing/transport/ssh"
)

// login is how a session authenticates.
type login struct {
	options *fluxgit.AuthOptions
	proxy   transport.ProxyOptions
}

// errLogin: the address and the Secret do not fit each other.
type errLogin struct{ text string }

func (e *errLogin) Error() string { return e.text }

// login reads the credentials and refuses what must not be tried with them.
func (r *Remote) login(ctx context.Context) (login, error) {
	u, err := url.Parse(r.URL)
	if err != nil || u.Host == "" {
		return login{}, &errLogin{fmt.Sprintf("%s is not an address of a Git server: use https://HOST/PATH or ssh://git@HOST/PATH", Redact(r.URL))}
	}
	if u.Scheme != "ssh" && u.User != nil {
		return login{}, &errLogin{"the URL has a user in it; put username and password into the Secret instead"}
	}
	if r.Access == nil {
		o := &fluxgit.AuthOptions{Transport: fluxgit.TransportType(u.Scheme), Host: u.Host}
		return login{options: o}, checkLogin(o)
	}
	o, err := r.Access.Git(ctx)
	if err != nil {
		return login{}, &errAccess{err}
	}
	return login{o, r.Access.Proxy()}, checkLogin(o)
}

func checkLogin(o *fluxgit.AuthOptions) error {
	switch o.Transport {
	case fluxgit.HTTPS:
		return nil
	case fluxgit.HTTP:
		if o.Username != "" || o.Password != "" || o.BearerToken != "" {
			return &errLogin{"credentials are not sent over http, where everybody can read them; use https"}
		}
		return nil
	case fluxgit.SSH:
		return checkKeys(o)
	}
	return &errLogin{fmt.Sprintf("%q is no way to reach a Git server; use https, http or ssh", o.Transport)}
}

func checkKeys(o *fluxgit.AuthOptions) error {
	switch {
	case len(o.Identity) == 0:
		return &errLogin{"the Secret has no key identity, the private key that SSH needs"}
	case len(o.KnownHosts) == 0:
		return &errLogin{"the Secret has no key known_hosts, so that nobody can tell the server from another; take it from ssh-keyscan " + o.Host + " and compare it with what the server's operator publishes"}
	}
	return nil
}

// method is the login as go-git takes it; fluxcd/pkg/git keeps its own to itself.
func (l login) method() (transport.AuthMethod, error) {
	o := l.options
	switch {
	case o.Transport == fluxgit.SSH:
		return keysOf(o)
	case o.BearerToken != "":
		return &http.TokenAuth{Token: o.BearerToken}, nil
	case o.Username != "" || o.Password != "":
		return &http.BasicAuth{Username: o.Username, Password: o.Password}, nil
	}
	return nil, nil
}

func keysOf(o *fluxgit.AuthOptions) (transport.AuthMethod, error) {
	user := o.Username
	if user == "" {
		user = fluxgit.DefaultPublicKeyAuthUser
	}
	keys, err := ssh.NewPublicKeys(user, o.Identity, o.Password)
	if err != nil {
		// What the parser says can quote the key.
		return nil, &errLogin{"the key identity of the Secret is not a private key that can be read; is its passphrase in the key password?"}
	}
	check, algorithms, err := knownhosts.New(o.KnownHosts)
	if err != nil {
		return nil, &errLogin{"the key known_hosts of the Secret cannot be read: " + oneLine(err.Error(), maxReason)}
	}
	if i := slices.Index(algorithms, "ssh-rsa"); i >= 0 {
		// The same key signs with SHA-2 too; SHA-1 comes last.
		algorithms = slices.Insert(slices.Clone(algorithms), i, "rsa-sha2-512", "rsa-sha2-256")
	}
	keys.HostKeyCallback, keys.HostKeyAlgorithms = check, algorithms
	return keys, nil
}

// dial prepares a session; open makes it.
func dial[S closer](ctx context.Context, r *Remote, open func(transport.Transport, *transport.Endpoint, transport.AuthMethod) (S, error)) (S, error) {
	var none S
	l, err := r.login(ctx)
	if err != nil {
		return none, err
	}
	auth, err := l.method()
	if err != nil {
		return none, err
	}
	ep, err := transport.NewEndpoint(r.URL)
	if err != nil {
		return none, err
	}
	ep.CaBundle, ep.ClientCert, ep.ClientKey, ep.Proxy = l.options.CAFile, l.options.ClientCert, l.options.ClientKey, l.proxy
	via, err := client.NewClient(ep)
	if err != nil {
		return none, err
	}
	// go-git shakes hands over SSH without minding the context.
	return within(ctx, func() (S, error) { return open(via, ep, auth) }, func(s S) { closeQuietly(s) })
}

type closer interface{ Close() error }

func (r *Remote) uploadPack(ctx context.Context) (transport.UploadPackSession, error) {
	return dial(ctx, r, func(t transport.Transport, ep *transport.Endpoint, auth transport.AuthMethod) (transport.UploadPackSession, error) {
		return t.NewUploadPackSession(ep, auth)
	})
}

func (r *Remote) receivePack(ctx context.Context) (transport.ReceivePackSession, error) {
	return dial(ctx, r, func(t transport.Transport, ep *transport.Endpoint, auth transport.AuthMethod) (transport.ReceivePackSession, error) {
		return t.NewReceivePackSession(ep, auth)
	})
}

// within stops waiting for do when ctx ends. What comes later is given to late.
func within[T any](ctx context.Context, do func() (T, error), late func(T)) (T, error) {
	type result struct {
		got T
		err error
	}
	done := make(chan result, 1)
	go func() {
		got, err := do()
		done <- result{got, err}
	}()
	select {
	case r := <-done:
		return r.got, r.err
	case <-ctx.Done():
		go func() {
			if r := <-done; r.err == nil && late != nil {
				late(r.got)
			}
		}()
		var none T
		return none, errors.Join(ctx.Err(), context.Cause(ctx))
	}
}
