package access_test

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/remediate-dev/remediate/gitops/access"
)

// What proves to be the App is not sent on to where a server points.
func TestAppFollowsNoRedirectWithItsKey(t *testing.T) {
	var leaked atomic.Bool
	other, _ := serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked.Store(leaked.Load() || r.Header.Get("Authorization") != "")
	}))
	srv, _ := serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	_, s := newApps(t)
	s["githubAppBaseURL"] = []byte(srv.URL + "/api/v3")
	if _, err := mustNew(t, access.Options{URL: httpsURL, Git: s}).Token(context.Background()); err == nil || !strings.Contains(hintOf(err), "githubAppBaseURL") {
		t.Errorf("%v, hint %q", err, hintOf(err))
	}
	if leaked.Load() {
		t.Error("the App's proof reached another server")
	}
}
