package controller

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/rest"
)

// nodeWays are addresses on the node itself at which installers serve the API
// server: Talos' KubePrism, k3s' and RKE2's load balancer of agents, and the API
// server of a kubeadm control-plane node.
func nodeWays() []string {
	return []string{"https://localhost:7445", "https://localhost:6444", "https://localhost:6443"}
}

// answersWithin is how long an API server may take to answer at all.
const answersWithin = 3 * time.Second

// Way finds an address at which the API server answers.
type Way struct {
	// Given is the operator's; nothing else is tried then.
	Given string
	// Others are tried when the cluster's own address does not answer; nil are those
	// that installers serve on the node.
	Others []string
	// Answers says whether an API server with these credentials is there; nil asks it.
	Answers func(context.Context, *rest.Config) error
	// Progress is told what is used; nil is silent.
	Progress func(format string, args ...any)
}

// Reach gives cfg with the address that answers. Another one than cfg's own is used
// with the same CA, and with the name that cfg's own has in its certificate, so that
// nothing else than this cluster's API server is ever spoken to.
func (w Way) Reach(ctx context.Context, cfg *rest.Config) (*rest.Config, error) {
	answers := w.Answers
	if answers == nil {
		answers = asked
	}
	if w.Given != "" {
		return elsewhere(cfg, w.Given)
	}
	first := answers(ctx, cfg)
	if first == nil {
		return cfg, nil
	}
	failed := []string{fmt.Sprintf("%s: %v", cfg.Host, first)}
	others := w.Others
	if others == nil {
		others = nodeWays()
	}
	for _, host := range others {
		at, err := elsewhere(cfg, host)
		if err == nil {
			err = answers(ctx, at)
		}
		if err == nil {
			w.say("the API server is reached at %s, as %s does not answer: %v", host, cfg.Host, first)
			return at, nil
		}
		failed = append(failed, fmt.Sprintf("%s: %v", host, err))
	}
	return nil, fmt.Errorf("no API server answers (%s): give the address with --api-server", strings.Join(failed, "; "))
}

func (w Way) say(format string, args ...any) {
	if w.Progress != nil {
		w.Progress(format, args...)
	}
}

// elsewhere is cfg for another address of the same API server.
func elsewhere(cfg *rest.Config, host string) (*rest.Config, error) {
	u, err := url.Parse(host)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, errors.New("the API server's address is not https://HOST:PORT")
	}
	out := rest.CopyConfig(cfg)
	out.Host = strings.TrimSuffix(host, "/")
	if name := hostName(cfg.Host); out.TLSClientConfig.ServerName == "" && loopback(u.Hostname()) && !loopback(name) {
		out.TLSClientConfig.ServerName = name
	}
	return out, nil
}

func hostName(host string) string {
	if u, err := url.Parse(host); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		return name
	}
	return host
}

func loopback(name string) bool {
	ip := net.ParseIP(name)
	return name == "localhost" || ip != nil && ip.IsLoopback()
}

// asked asks for the version. An answer that says no is an answer; one that does not
// know the credentials is not this cluster's.
func asked(ctx context.Context, cfg *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, answersWithin)
	defer cancel()
	cfg = rest.CopyConfig(cfg)
	cfg.NegotiatedSerializer = serializer.NewCodecFactory(runtime.NewScheme()).WithoutConversion()
	cfg.Timeout = answersWithin
	client, err := rest.UnversionedRESTClientFor(cfg)
	if err != nil {
		return err
	}
	err = client.Get().AbsPath("/version").MaxRetries(0).Do(ctx).Error()
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}
