# Sourced by the scripts of this folder: makes a checkout ready to run. Does only what is missing.
# After it, $kit is the checkout, its packages are installed and bin/ is compiled from the current sources.
kit=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$kit"

say() { printf '%s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

need_node() {
  command -v node >/dev/null || die 'Node.js is missing: install Node.js 20.20 or 22 and npm, then run this again.'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 21 || (a === 20 && b >= 20) ? 0 : 1)' ||
    die "Node.js $(node --version) is too old: install Node.js 20.20 or 22, then run this again."
}

# The stamp is the content of the lock file, not its time: a fresh clone has new times on old content.
install_packages() {
  local want stamp=node_modules/.sitewright-lock
  want=$(sha256sum package-lock.json package.json | sha256sum)
  [ "$(cat "$stamp" 2>/dev/null)" = "$want" ] && return
  say 'Installing npm packages'
  npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2
  printf '%s' "$want" >"$stamp"
}

# Compiles when a source is newer than the last compilation, and from nothing, so that bin/ holds no file whose source is gone.
compile() {
  if [ -e bin/.compiled ] && [ -z "$(find package.json tsconfig.json components scripts stacks -newer bin/.compiled \
    \( -name '*.ts' -o -name '*.json' -o -type d \) ! -path 'stacks/*.yaml' -print -quit)" ]; then
    return
  fi
  say 'Compiling'
  rm -rf bin.new
  node node_modules/typescript/bin/tsc -p tsconfig.json --outDir bin.new
  touch bin.new/.compiled
  rm -rf bin
  mv bin.new bin
}

need_node
install_packages
compile
