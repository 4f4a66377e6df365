// A vCenter on loopback for tests: the model of govmomi's simulator, with a switch that carries jumbo frames and two
// networks of one name. It prints its URL and ends with its standard input.
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"os"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func main() {
	model := simulator.VPX()
	if err := model.Create(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	registry := model.Map()

	dvs := registry.Any("DistributedVirtualSwitch").(*simulator.DistributedVirtualSwitch)
	dvs.Config.(*types.VMwareDVSConfigInfo).MaxMtu = 9000

	datacenter := registry.Any("Datacenter").(*simulator.Datacenter)
	networks := registry.Get(datacenter.NetworkFolder).(*simulator.Folder)
	other := &simulator.Folder{}
	other.Name = "other"
	other.ChildType = networks.ChildType
	registry.PutEntity(networks, other)
	networks.ChildEntity = append(networks.ChildEntity, other.Self)
	for _, folder := range []*simulator.Folder{networks, other} {
		twin := &simulator.DistributedVirtualPortgroup{}
		twin.Name = "twin"
		twin.Config.DistributedVirtualSwitch = &dvs.Self
		registry.PutEntity(folder, twin)
		folder.ChildEntity = append(folder.ChildEntity, twin.Self)
	}

	model.Service.TLS = new(tls.Config)
	server := model.Service.NewServer()
	fmt.Println(server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin)
}
