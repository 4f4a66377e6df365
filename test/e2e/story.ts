/**
 * Cases that go on where the one before ended. A story goes on only while it holds: after a failure the machines are not
 * what the next case expects.
 */
export function story(): (title: string, work: () => Promise<void>) => void {
  let broken: string | null = null;
  return (title, work) => {
    it(title, async () => {
      if (broken !== null) throw new Error(`not run, because this failed before it: ${broken}`);
      broken = title;
      await work();
      broken = null;
    });
  };
}
