// A vSphere API to test against: govmomi's simulator of a vCenter with one host, behind TLS on a free port of 127.0.0.1.
// It prints its URL, keeps the names and sizes of uploaded files in its log, and ends when its standard input does.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net/url"
	"os"

	"github.com/vmware/govmomi/simulator"
)

func main() {
	log.SetFlags(0)
	model := simulator.VPX()
	model.Cluster, model.ClusterHost, model.Host, model.Machine = 0, 0, 1, 0
	defer model.Remove()
	if err := model.Create(); err != nil {
		log.Fatal(err)
	}
	model.Service.RegisterEndpoints = true
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword("user", "pass")}
	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()
	defer server.Close()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
