package access

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/fluxcd/pkg/runtime/secrets"
)

// mask stands where a secret was.
const mask = "*****"

const (
	// shortest secret that is looked for by itself: shorter ones stand in every text.
	shortest = 4
	// shortestCore is the same for a piece of base64.
	shortestCore = 6
	// learned is how many made tokens are remembered; the older ones have expired.
	learned = 8
)

// redacter finds secrets in each form that they may take in a message.
type redacter struct {
	fixed    []string
	tokens   []string
	replacer *strings.Replacer
}

func newRedacter(known []string) redacter {
	r := redacter{}
	for _, s := range known {
		r.fixed = append(r.fixed, forms(s)...)
	}
	r.build()
	return r
}

// add remembers a token that was made.
func (r *redacter) add(token string) {
	if token == "" || slices.Contains(r.tokens, token) {
		return
	}
	if r.tokens = append(r.tokens, token); len(r.tokens) > learned {
		r.tokens = r.tokens[1:]
	}
	r.build()
}

// build prefers the longest form at each place.
func (r *redacter) build() {
	all := slices.Clone(r.fixed)
	for _, t := range r.tokens {
		all = append(all, forms(t)...)
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, f := range slices.Compact(all) {
		pairs = append(pairs, f, mask)
	}
	r.replacer = strings.NewReplacer(pairs...)
}

func (r *redacter) replace(text string) string { return r.replacer.Replace(text) }

// knownSecrets are the values that no reader may see, with what stands in a
// header of basic auth where the password alone is too short to be looked for.
func (a *Access) knownSecrets() []string {
	var out []string
	for _, n := range a.named() {
		for _, k := range []string{secrets.KeyPassword, secrets.KeyToken, secrets.KeyBearerToken, secrets.KeySSHPrivateKey, secrets.KeyTLSPrivateKey, secrets.KeyGitHubAppPrivateKey} {
			out = append(out, string(n.data[k]))
		}
		if tokenIsUser(n.data) {
			out = append(out, string(n.data[secrets.KeyUsername]))
		}
		if n.has(secrets.KeyUsername) && n.has(secrets.KeyPassword) {
			out = append(out, string(n.data[secrets.KeyUsername])+":"+string(n.data[secrets.KeyPassword]))
		}
	}
	if a.proxy != nil {
		if password, ok := a.proxy.User.Password(); ok {
			out = append(out, password)
		}
	}
	return out
}

// forms are the ways in which a secret may stand in a text. Of several lines,
// each counts by itself, so that it is found however they are joined.
func forms(secret string) []string {
	var out []string
	for _, s := range lines(secret) {
		if len(s) < shortest {
			continue
		}
		out = append(out, s)
		for _, f := range []string{url.QueryEscape(s), url.PathEscape(s), url.UserPassword("", s).String()[1:], html.EscapeString(s), quoted(s), jsonQuoted(s)} {
			out = append(out, f, lowerHex(f))
		}
		out = append(out, cores(s)...)
	}
	return out
}

func lines(secret string) []string {
	all := strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(all) < 2 {
		return all
	}
	return slices.DeleteFunc(all, func(l string) bool { return strings.HasPrefix(l, "-----") })
}

func quoted(s string) string {
	q := strconv.Quote(s)
	return q[1 : len(q)-1]
}

func jsonQuoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return s
	}
	return string(b[1 : len(b)-1])
}

var percent = regexp.MustCompile(`%[0-9A-F]{2}`)

func lowerHex(s string) string { return percent.ReplaceAllStringFunc(s, strings.ToLower) }

// cores are what every base64 text has in common that the secret is a part of:
// one for each of the three places where it can begin within a group. The
// characters at either end also depend on the neighbours and are left out.
func cores(s string) []string {
	var out []string
	for shift := range 3 {
		whole := (shift + len(s)) * 8 / 6
		from := (shift*8 + 5) / 6
		for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			core := enc.EncodeToString(append(make([]byte, shift), s...))[from:whole]
			if len(core) < shortestCore {
				continue
			}
			out = append(out, core, url.QueryEscape(core), lowerHex(url.QueryEscape(core)))
		}
	}
	return out
}
