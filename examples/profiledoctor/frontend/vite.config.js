// For work on the page: `npx vite`, with the API of the stack that runs on this machine.
export default {
  server: { proxy: { "/api": { target: "https://profiledoctor.localhost:8445", changeOrigin: true, secure: false } } },
};
