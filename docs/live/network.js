/* A deep dense network, with and without batch normalization: forward, backward, one step of SGD. Nothing but
   arithmetic, in float64; tests/test_live.py holds it to PyTorch's own layers, number by number.

   It is one function, without anything around it, so that a page can hand its text to a worker. Arrays are flat, row
   after row: value j of point n is x[n * width + j]. A layer's `forward` keeps what its `backward` needs. */
"use strict";

var liveNetwork = function () {
  const EPS = 1e-5, FOLLOW = 0.1; // ε and the running statistics' momentum, as torch.nn.BatchNorm1d has them

  // Random numbers from a seed: mulberry32, uniform in [0, 1).
  function random(seed) {
    let a = seed >>> 0;
    return () => {
      a = (a + 0x6d2b79f5) | 0;
      let t = Math.imul(a ^ (a >>> 15), 1 | a);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }
  // Normal ones: Box & Muller.
  const normal = (draw) => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());

  // What a step of SGD changes: values and the loss's gradient at them.
  const parameter = (size, fill = 0) => ({ value: new Float64Array(size).fill(fill), grad: new Float64Array(size) });

  class Linear { // nn.Linear(ni, no, bias)
    constructor(ni, no, bias) {
      Object.assign(this, { ni, no, weight: parameter(ni * no), bias: bias ? parameter(no) : null });
    }
    forward(x) { // y[n, o] = Σ_i x[n, i] · W[o, i] + b[o]
      const { ni, no } = this, W = this.weight.value, N = x.length / ni, y = new Float64Array(N * no);
      const b = this.bias ? this.bias.value : new Float64Array(no);
      for (let n = 0; n < N; n++) {
        for (let o = 0, w = 0; o < no; o++) {
          let sum = b[o];
          for (let i = n * ni, end = i + ni; i < end; i++, w++) sum += x[i] * W[w];
          y[n * no + o] = sum;
        }
      }
      this.x = x;
      return y;
    }
    backward(dy) {
      const { ni, no, x } = this, W = this.weight.value, dW = this.weight.grad.fill(0);
      const db = this.bias ? this.bias.grad.fill(0) : null, N = x.length / ni, dx = new Float64Array(x.length);
      for (let n = 0; n < N; n++) {
        for (let o = 0, w = 0; o < no; o++) {
          const g = dy[n * no + o];
          if (db) db[o] += g; //     ∂L/∂b[o] = Σ_n ∂L/∂y[n, o]
          for (let i = n * ni, end = i + ni; i < end; i++, w++) {
            dW[w] += g * x[i]; //    ∂L/∂W[o, i] = Σ_n ∂L/∂y[n, o] · x[n, i]
            dx[i] += g * W[w]; //    ∂L/∂x[n, i] = Σ_o ∂L/∂y[n, o] · W[o, i]
          }
        }
      }
      return dx;
    }
  }

  class BatchNorm { // nn.BatchNorm1d(width)
    constructor(width) {
      Object.assign(this, { width, gamma: parameter(width, 1), beta: parameter(width) });
      this.runningMean = new Float64Array(width);
      this.runningVar = new Float64Array(width).fill(1);
    }
    forward(x, training) {
      const C = this.width, N = x.length / C, y = new Float64Array(x.length), xhat = new Float64Array(x.length);
      const scale = new Float64Array(C), gamma = this.gamma.value, beta = this.beta.value;
      for (let c = 0; c < C; c++) {
        let mean = this.runningMean[c], variance = this.runningVar[c];
        if (training) {
          mean = variance = 0;
          for (let n = 0; n < N; n++) mean += x[n * C + c] / N; //                     μ = Σ_n x[n] / N
          for (let n = 0; n < N; n++) variance += (x[n * C + c] - mean) ** 2 / N; //  σ² = Σ_n (x[n] − μ)² / N
          this.runningMean[c] += FOLLOW * (mean - this.runningMean[c]);
          this.runningVar[c] += FOLLOW * (variance * N / (N - 1) - this.runningVar[c]); // this one divided by N − 1
        }
        scale[c] = 1 / Math.sqrt(variance + EPS); // 1 / √(σ² + ε)
        for (let n = 0; n < N; n++) {
          xhat[n * C + c] = (x[n * C + c] - mean) * scale[c]; // x̂ = (x − μ) / √(σ² + ε)
          y[n * C + c] = gamma[c] * xhat[n * C + c] + beta[c]; // y = γ x̂ + β
        }
      }
      Object.assign(this, { xhat, scale });
      return y;
    }
    backward(dy) { // in training mode: μ and σ² depend on every point of the batch
      const C = this.width, { xhat, scale } = this, N = dy.length / C, dx = new Float64Array(dy.length);
      for (let c = 0; c < C; c++) {
        let dbeta = 0, dgamma = 0;
        for (let n = 0; n < N; n++) {
          dbeta += dy[n * C + c]; //                  ∂L/∂β = Σ_n ∂L/∂y[n]
          dgamma += dy[n * C + c] * xhat[n * C + c]; // ∂L/∂γ = Σ_n ∂L/∂y[n] · x̂[n]
        }
        // ∂L/∂x = γ / √(σ² + ε) · (∂L/∂y − mean of ∂L/∂y − x̂ · mean of ∂L/∂y · x̂)
        const factor = this.gamma.value[c] * scale[c];
        for (let n = 0; n < N; n++) {
          dx[n * C + c] = factor * (dy[n * C + c] - dbeta / N - xhat[n * C + c] * dgamma / N);
        }
        this.beta.grad[c] = dbeta;
        this.gamma.grad[c] = dgamma;
      }
      return dx;
    }
  }

  class ReLU {
    forward(x) {
      const y = new Float64Array(x.length);
      for (let k = 0; k < x.length; k++) y[k] = x[k] < 0 ? 0 : x[k]; // max(x, 0); what is no number stays none
      this.x = x;
      return y;
    }
    backward(dy) {
      const dx = new Float64Array(dy.length);
      for (let k = 0; k < dy.length; k++) dx[k] = this.x[k] > 0 ? dy[k] : 0; // ∂L/∂x = ∂L/∂y where x > 0, else 0
      return dx;
    }
  }

  // The mean over the batch of −log softmax(z)[label], and its gradient at z: (softmax(z) − one-hot(label)) / N.
  function crossEntropy(z, labels) {
    const N = labels.length, p = softmax(z, z.length / N), K = z.length / N;
    let loss = 0;
    for (let n = 0; n < N; n++) {
      let top = -Infinity, sum = 0;
      for (let k = 0; k < K; k++) top = Math.max(top, z[n * K + k]);
      for (let k = 0; k < K; k++) sum += Math.exp(z[n * K + k] - top);
      loss += (top + Math.log(sum) - z[n * K + labels[n]]) / N;
      p[n * K + labels[n]] -= 1;
    }
    return { loss, gradient: p.map((value) => value / N) };
  }
  function softmax(z, K) { // exp(z[k]) / Σ_j exp(z[j]), row by row, the largest subtracted first
    const p = new Float64Array(z.length);
    for (let row = 0; row < z.length; row += K) {
      let top = -Infinity, sum = 0;
      for (let k = row; k < row + K; k++) top = Math.max(top, z[k]);
      for (let k = row; k < row + K; k++) sum += p[k] = Math.exp(z[k] - top);
      for (let k = row; k < row + K; k++) p[k] /= sum;
    }
    return p;
  }

  // `depth` hidden layers, each Linear → (BatchNorm) → ReLU, and one Linear for the answer. Before a normalization the
  // Linear has no bias: subtracting the mean would take it away again, and β does its work.
  class Network {
    constructor({ depth, width, classes, normalized, inputs = 2 }) {
      this.classes = classes;
      this.blocks = []; // hidden layers
      for (let l = 0; l < depth; l++) {
        const linear = new Linear(l ? width : inputs, width, !normalized);
        this.blocks.push([linear, ...(normalized ? [new BatchNorm(width)] : []), new ReLU()]);
      }
      this.head = new Linear(width, classes, true);
      this.layers = [...this.blocks.flat(), this.head];
      this.parameters = this.layers.flatMap((l) => [l.weight, l.bias, l.gamma, l.beta].filter(Boolean));
    }
    // "default" is PyTorch's: weights and biases uniform in ±1/√ni. "he": weights normal, variance 2/ni, biases 0.
    initialize(start, seed) {
      const weights = random(seed), biases = random(seed + 0x9e3779b9); // apart: with and without get the same weights
      for (const { weight, bias, ni } of this.layers.filter((layer) => layer.weight)) {
        const uniform = (draw) => (2 * draw() - 1) / Math.sqrt(ni);
        const he = start === "he", one = () => (he ? normal(weights) * Math.sqrt(2 / ni) : uniform(weights));
        weight.value.forEach((_, k, w) => (w[k] = one()));
        bias?.value.forEach((_, k, b) => (b[k] = he ? 0 : uniform(biases)));
      }
      return this;
    }
    forward(x, training) {
      this.outputs = this.blocks.map((block) => (x = block.reduce((y, layer) => layer.forward(y, training), x)));
      return this.head.forward(x);
    }
    backward(gradient) { // the gradients at the hidden layers' outputs; those at the parameters stay with them
      let g = this.head.backward(gradient);
      this.gradients = new Array(this.blocks.length);
      for (let l = this.blocks.length - 1; l >= 0; l--) {
        this.gradients[l] = g;
        for (const layer of [...this.blocks[l]].reverse()) g = layer.backward(g);
      }
      return this.gradients;
    }
    // One step of SGD with momentum, as torch.optim.SGD takes it: v ← momentum · v + ∂L/∂w, then w ← w − rate · v.
    step(rate, momentum) {
      for (const p of this.parameters) {
        p.velocity ??= new Float64Array(p.value.length);
        for (let k = 0; k < p.value.length; k++) {
          p.velocity[k] = momentum * p.velocity[k] + p.grad[k];
          p.value[k] -= rate * p.velocity[k];
        }
      }
    }
    learn(x, labels, rate, momentum) { // one batch: forward, backward, step; the loss before the step
      const { loss, gradient } = crossEntropy(this.forward(x, true), labels);
      this.backward(gradient);
      this.step(rate, momentum);
      return loss;
    }
    // Evaluation: the running statistics in place of the batch's. (points × classes) probabilities.
    predict(x) {
      return softmax(this.forward(x, false), this.classes);
    }
    accuracy(x, labels) { // the share of points whose own class has the greatest probability
      const p = this.predict(x), K = this.classes;
      let right = 0;
      labels.forEach((label, n) => {
        const row = p.subarray(n * K, n * K + K);
        if (row.every((value, k) => k === label || value < row[label])) right += 1; // a tie, or no number: not right
      });
      return right / labels.length;
    }
    spreads() { // of the last batch: standard deviation across points, root mean square over a layer's units
      return this.outputs.map((y) => spread(y, y.length / this.head.ni));
    }
    gradientNorms() { // Euclidean, of the gradient at each layer's output
      return this.gradients.map((g) => Math.sqrt(g.reduce((sum, value) => sum + value * value, 0)));
    }
  }

  function spread(y, N) {
    const C = y.length / N;
    let total = 0;
    for (let c = 0; c < C; c++) {
      let mean = 0;
      for (let n = 0; n < N; n++) mean += y[n * C + c] / N;
      for (let n = 0; n < N; n++) total += (y[n * C + c] - mean) ** 2;
    }
    return Math.sqrt(total / (N * C)); // √(Σ_c Σ_n (y[n, c] − μ[c])² / (N C))
  }

  // Points in the square ±1 and their classes: a task is "spirals" or "rings", with two classes or three.
  function draw(task, classes, count, seed, noise = 0.03) {
    const next = random(seed), x = new Float64Array(2 * count), labels = new Uint8Array(count);
    for (let n = 0; n < count; n++) {
      const k = (labels[n] = n % classes), t = Math.sqrt(next());
      const radius = task === "rings" ? (k + 0.2 + 0.6 * next()) / classes : 0.08 + 0.86 * t;
      const angle = task === "rings" ? 2 * Math.PI * next() : 2 * Math.PI * (k / classes + 1.1 * t);
      x[2 * n] = radius * Math.cos(angle) + noise * normal(next);
      x[2 * n + 1] = radius * Math.sin(angle) + noise * normal(next);
    }
    return { x, labels };
  }

  return { Network, Linear, BatchNorm, ReLU, crossEntropy, softmax, random, draw };
};
