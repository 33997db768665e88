//go:build unix

package redistest

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

const slots = 16384

// StartCluster starts a cluster of n servers, none of which has a replica.
func StartCluster(t testing.TB, n int, args ...string) []*Server {
	t.Helper()
	args = append([]string{"--cluster-enabled", "yes", "--cluster-node-timeout", "5000"}, args...)
	servers := make([]*Server, n)
	for i := range servers {
		s := Start(t, args...)
		first, last := i*slots/n, (i+1)*slots/n-1
		s.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(first), strconv.Itoa(last))
		if i > 0 {
			host, port, _ := net.SplitHostPort(servers[0].Addr)
			s.Do("CLUSTER", "MEET", host, port)
		}
		servers[i] = s
	}
	for _, s := range servers {
		for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
			info := s.Do("CLUSTER", "INFO")
			if strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:"+strconv.Itoa(n)) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("the cluster is not ready: %s", info)
			}
		}
	}
	return servers
}
