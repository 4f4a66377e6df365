package main

import (
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/simulator/esx"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// keepSwapPlacement sees every call before the simulator does, which forgets where a machine is to swap.
func keepSwapPlacement(ctx *simulator.Context, method *simulator.Method) (mo.Reference, types.BaseMethodFault) {
	call, ok := method.Body.(*types.ReconfigVM_Task)
	if !ok || call.Spec.SwapPlacement == "" {
		return nil, nil
	}
	machine := ctx.Map.Get(method.This).(*simulator.VirtualMachine)
	ctx.WithLock(machine, func() { machine.Config.SwapPlacement = call.Spec.SwapPlacement })
	return nil, nil
}

// tellHardwareVersion gives the newest version as a number too: the simulator says 0, and a machine that is to get a
// newer one than that is refused as upgraded already.
func tellHardwareVersion(registry *simulator.Registry) error {
	version, err := types.ParseHardwareVersion(esx.HardwareVersion)
	if err != nil {
		return err
	}
	for _, browser := range registry.AllReference("EnvironmentBrowser") {
		browser.(*simulator.EnvironmentBrowser).QueryConfigOptionResponse.Returnval = &types.VirtualMachineConfigOption{
			Version:         esx.HardwareVersion,
			DefaultDevice:   esx.VirtualDevice,
			HardwareOptions: types.VirtualHardwareOption{HwVersion: int32(version)},
		}
	}
	return nil
}
