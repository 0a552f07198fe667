package forges

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

type fields = map[string]any

// people makes the organization and who works there.
func (g *giteaServer) people() error {
	if err := g.do("", http.MethodPost, "/orgs", fields{"username": giteaOrg, "visibility": "private"}, nil); err != nil {
		return err
	}
	r := &GiteaRepo{}
	for user, scopes := range map[string][]string{
		r.Bot():    GiteaScopes,
		r.Writer(): {"all"},
		r.Reader(): {"all"},
		"stranger": {"all"},
	} {
		if err := g.addUser(user, scopes); err != nil {
			return err
		}
	}
	return nil
}

func (g *giteaServer) addUser(user string, scopes []string) error {
	made := fields{"username": user, "email": user + "@example.com", "password": passwordOf(user), "must_change_password": false}
	if err := g.do("", http.MethodPost, "/admin/users", made, nil); err != nil {
		return err
	}
	token, err := g.newToken(user, scopes)
	g.tokens[user] = token
	return err
}

// passwordOf somebody on a server that lives as long as a test.
func passwordOf(user string) string { return "not-a-secret-" + user }

// newToken: Gitea gives tokens for passwords only.
func (g *giteaServer) newToken(user string, scopes []string) (string, error) {
	body, err := json.Marshal(fields{"name": rand.Text(), "scopes": scopes})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequest(http.MethodPost, g.URL+"/api/v1/users/"+user+"/tokens", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.SetBasicAuth(user, passwordOf(user))
	var token struct {
		SHA1 string `json:"sha1"`
	}
	err = send(req, &token)
	return token.SHA1, err
}

// makeRepository: nobody who plays a part in it may administrate it.
func (g *giteaServer) makeRepository(t testing.TB, name string) {
	t.Helper()
	g.must(t, "", http.MethodPost, "/orgs/"+giteaOrg+"/repos",
		fields{"name": name, "private": true, "auto_init": true, "default_branch": "main"}, nil)
	r := &GiteaRepo{}
	for user, right := range map[string]string{r.Bot(): "write", r.Writer(): "write", r.Reader(): "read"} {
		g.must(t, "", http.MethodPut, "/repos/"+giteaOrg+"/"+name+"/collaborators/"+user, fields{"permission": right}, nil)
	}
}

func (g *giteaServer) must(t testing.TB, user, method, path string, in, out any) {
	t.Helper()
	if err := g.do(user, method, path, in, out); err != nil {
		t.Fatal(err)
	}
}

// refusal is an answer that is none of success.
type refusal struct {
	code int
	text string
}

func (r *refusal) Error() string { return r.text }

// do calls the API without the front, as a user or, without one, as the
// administrator.
func (g *giteaServer) do(user, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequest(method, g.URL+"/api/v1"+path, body)
	if err != nil {
		return err
	}
	if user == "" {
		req.SetBasicAuth(g.Admin, g.Password)
	} else {
		req.Header.Set("Authorization", "token "+g.tokens[user])
	}
	return send(req, out)
}

// send reads JSON into out, or the text itself when that is a *[]byte.
func send(req *http.Request, out any) error {
	req.Header.Set("Content-Type", "application/json")
	client := http.Client{Timeout: time.Minute}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode/100 != 2 {
		return &refusal{resp.StatusCode, fmt.Sprintf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, text)}
	}
	switch out := out.(type) {
	case nil:
		return nil
	case *[]byte:
		*out = text
		return nil
	default:
		return json.Unmarshal(text, out)
	}
}
