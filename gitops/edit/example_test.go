package edit_test

import (
	"fmt"

	"github.com/remediate-dev/remediate/gitops/edit"
)

func ExampleApply() {
	src := []byte("ipv6NativeRoutingCIDR: \"fd00:101::/48\"  # the nodes\nmtu: 1450\n")
	out, err := edit.Apply(src, edit.Change{Path: []string{"ipv6NativeRoutingCIDR"}, Value: "fd00:101::/38"})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Print(edit.Diff("values.yaml", src, out))
	// Output:
	// --- a/values.yaml
	// +++ b/values.yaml
	// @@ -1,2 +1,2 @@
	// -ipv6NativeRoutingCIDR: "fd00:101::/48"  # the nodes
	// +ipv6NativeRoutingCIDR: "fd00:101::/38"  # the nodes
	//  mtu: 1450
}

func ExampleApply_refused() {
	_, err := edit.Apply([]byte("base: &cidr fd00:101::/48\nnodes: *cidr\n"),
		edit.Change{Path: []string{"base"}, Value: "fd00:101::/38"})
	fmt.Println(err)
	// Output: line 1: shared through an anchor: &cidr is used on line 2 as well: both would change
}
