package access_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/remediate-dev/remediate/gitops/access"
)

func TestRedact(t *testing.T) {
	const pass = `p/ä"+%&s<w:0rd`
	a := mustNew(t, access.Options{
		URL: httpsURL, Git: secret("username", "bot", "password", pass),
		Forge: secret("token", "f0rge-token"), Proxy: secret("address", "http://proxy:3128", "username", "u", "password", "pr0xy-pass"),
	})
	quoted, err := json.Marshal(pass)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain":             pass,
		"query":             url.QueryEscape(pass),
		"path":              url.PathEscape(pass),
		"lower-case hex":    strings.NewReplacer("%2F", "%2f", "%C3%A4", "%c3%a4", "%3C", "%3c").Replace(url.PathEscape(pass)),
		"in a URL":          (&url.URL{Scheme: "https", Host: "h", User: url.UserPassword("bot", pass)}).String(),
		"quoted by Go":      fmt.Sprintf("%q", pass),
		"in JSON":           string(quoted),
		"base64":            base64.StdEncoding.EncodeToString([]byte(pass)),
		"raw URL base64":    base64.RawURLEncoding.EncodeToString([]byte(pass)),
		"basic auth":        base64.StdEncoding.EncodeToString([]byte("bot:" + pass)),
		"basic, other user": base64.StdEncoding.EncodeToString([]byte("oauth2:" + pass)),
		"forge's token":     "f0rge-token",
		"proxy's password":  "pr0xy-pass",
	} {
		got := a.Redact("before " + text + " after")
		if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") || !strings.Contains(got, "*****") {
			t.Errorf("%s: %q", name, got)
		}
		if strings.Contains(got, "0rd") || strings.Contains(got, "token") || strings.Contains(got, "pass") {
			t.Errorf("%s shows a piece: %q", name, got)
		}
	}
	if harmless := "bot pushed to https://git.example.com/home/cluster.git"; a.Redact(harmless) != harmless {
		t.Errorf("masked too much: %q", a.Redact(harmless))
	}
	var none *access.Access
	if none.Redact("x") != "x" {
		t.Error("a missing Access changes texts")
	}
}

func TestRedactKeys(t *testing.T) {
	key := identity(t, "")
	a := mustNew(t, access.Options{URL: sshURL, Git: secret("identity", key, "known_hosts", knownHosts)})
	body := strings.Split(strings.TrimSpace(key), "\n")
	body = body[1 : len(body)-1]
	for name, text := range map[string]string{
		"as it is":      key,
		"escaped":       fmt.Sprintf("%q", key),
		"on one line":   strings.Join(strings.Fields(key), " "),
		"without lines": strings.Join(body, ""),
		"one line":      body[1],
	} {
		got := a.Redact(text)
		for _, line := range body {
			if strings.Contains(got, line) {
				t.Errorf("%s shows %q", name, line)
			}
		}
	}
	if a.Redact(knownHosts) != knownHosts {
		t.Error("known_hosts is no secret")
	}
}

// A short password would stand in every text; with its user it is found.
func TestRedactShort(t *testing.T) {
	a := mustNew(t, access.Options{URL: httpsURL, Git: secret("username", "robot", "password", "ab")})
	if got := a.Redact("a tab is about"); got != "a tab is about" {
		t.Errorf("%q", got)
	}
	header := "Basic " + base64.StdEncoding.EncodeToString([]byte("robot:ab"))
	if got := a.Redact(header); got == header {
		t.Errorf("%q", got)
	}
}

// Base64 shows a secret wherever it stands in what was encoded.
func TestRedactAnyBase64(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		pass := rapid.StringMatching(`[A-Za-z0-9_-]{12,40}`).Draw(rt, "password")
		before, after := rapid.StringN(0, 20, 40).Draw(rt, "before"), rapid.StringN(0, 20, 40).Draw(rt, "after")
		a, err := access.New(access.Options{URL: httpsURL, Git: secret("username", "bot", "password", pass)})
		if err != nil {
			rt.Fatal(err)
		}
		for _, enc := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			text := enc.EncodeToString([]byte(before + pass + after))
			if decoded, err := enc.DecodeString(a.Redact(text)); err == nil && strings.Contains(string(decoded), pass) {
				rt.Fatalf("%q in %q is still there", pass, text)
			}
			if !strings.Contains(a.Redact(text), "*****") {
				rt.Fatalf("%q in %q is not masked", pass, text)
			}
		}
	})
}
