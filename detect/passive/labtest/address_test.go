//go:build linux

package labtest

import (
	"testing"

	"github.com/vishvananda/netlink"
)

// address gives the lab's own namespace one more address.
func address(t *testing.T, ip string) {
	t.Helper()
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	a, err := netlink.ParseAddr(ip + "/32")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.AddrAdd(lo, a); err != nil {
		t.Fatal(err)
	}
}
